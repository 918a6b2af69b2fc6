"""What the package makes of features.py, compared with the study, the prepared data and the tables."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from launcher.checks.problem import wrong
from launcher.console import UserError, shown
from launcher.contract import TASK_MODULE
from launcher.packaging.sdist import python_files
from launcher.project import NOT_PREPARED, Project, prepared_fingerprint
from launcher.spec.job_file import Job
from launcher.spec.study import Options

FEATURES = "trainer/features.py"
REPORTING = "(report_to_tuning|report_hyperparameter_tuning_metric)"
"""The trainer's function that reports a metric to a study, and that of the library cloudml-hypertune."""


def feature_findings(
    response: Mapping[str, Any], job: Job, project: Project, arguments: Sequence[str] = ()
) -> Iterator[UserError]:
    """Yield what the trainer objects to in features.py, or the study's metric if the trainer never reports it."""
    if "error" in response and response["known"]:
        what, _, rest = response["error"].partition("; expected ")
        expected, _, remedy = rest.rpartition("; ")
        yield UserError(what, expected, remedy)
    elif "error" in response:
        what = f"{FEATURES} cannot be read ({response['error']})"
        yield UserError(what, "the names and types that the file was made with", "restore it")
    elif response and job.study and job.cloud.module == TASK_MODULE:
        if gives_metric(arguments) or not job.study.options.metric:
            return  # for this run alone, or the study has that of the trainer
        yield from metric_findings(response, job.study.options, project)


def gives_metric(arguments: Sequence[str]) -> bool:
    return any(each.partition("=")[0] == "--metric" for each in arguments)


def metric_findings(
    response: Mapping[str, Any], options: Options, project: Project
) -> Iterator[UserError]:
    metric, goal = response["metric"], response["goal"]
    if options.metric != metric and not is_reported(options.metric, project.folder):
        expected = f"{metric}, which the trainer reports for TASK = {shown(response['task'])}"
        fix = f'write metric = "{metric}" and goal = "{goal}"'
        yield wrong("[study] metric", options.metric, expected, fix)
    elif options.metric == metric and options.goal != goal:
        yield wrong("[study] goal", options.goal, f"{goal} for {metric}", f'write goal = "{goal}"')


def is_reported(metric: str, project: Path) -> bool:
    """Return whether a module of the package itself reports a metric of this name to the study."""
    call = re.compile(rf"{REPORTING}\([^()]*[\"']{re.escape(metric)}[\"']")
    modules = python_files(project)
    texts = ((project / file).read_text("utf-8", errors="replace") for file in modules)
    return any(map(call.search, texts))


def stale_findings(response: Mapping[str, Any], job: Job, project: Project) -> Iterator[UserError]:
    """Yield why the prepared data is not what features.py, the tables and the options describe."""
    expected = f"data prepared from {FEATURES}, the tables and the options as they are now"
    fix = "nox -s prepare, with -- --upload before a job is submitted"
    is_prepared = prepared_fingerprint(project, job) != NOT_PREPARED
    for text in response.get("stale", ()) if is_prepared else ():
        if not text.endswith(" is gone"):  # what is gone cannot be compared
            reason = text.replace(f"{project.folder}/", "")
            verb = " was" if reason.startswith("made") else ":"
            yield UserError(f"{job.data.prepared}{verb} {reason}", expected, fix)
