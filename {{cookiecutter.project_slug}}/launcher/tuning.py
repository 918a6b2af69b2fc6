"""`nox -s tune`: a study of the job, on this machine or as a HyperparameterTuningJob."""

import argparse
import dataclasses
import hashlib
import itertools
import json
from pathlib import Path
from typing import Any

from launcher import local_study, sampling, spec, study_report, trials
from launcher.checks import require_sound
from launcher.cluster import shrunk
from launcher.console import Console, Refused, UserError
from launcher.job import Job
from launcher.local import EXIT_FAILED
from launcher.package import SourceDistribution
from launcher.project import Project, build, job_of, levels, run_of
from launcher.runs import next_study
from launcher.study import Study
from launcher.study_checks import tier_findings
from launcher.study_spec import tuning_job
from launcher.submissions import new_run_name
from launcher.training import mounted, run_prepare


def tune(project: Project, given: argparse.Namespace, rest: list[str], console: Console) -> int:
    """Run the study of job.toml."""
    job = job_of(project, given)
    study = study_of(job, given)
    if findings := tier_findings(job):
        raise Refused(findings)
    if given.dry_run:
        return show(project, job, study, rest, console)
    if given.local:
        check_local(given)
        return tune_here(project, job, study, given, rest, console)
    from launcher.tuning_cloud import tune_in_the_cloud

    return tune_in_the_cloud(project, job, study, given, rest, console)


def study_of(job: Job, given: argparse.Namespace) -> Study:
    """Return the study of job.toml, with what the command line says instead; raise `UserError` if there is none.

    The service refuses more trials at once than there are trials.
    """
    if job.study is None:
        raise UserError(
            "job.toml has no section [study]",
            "one that says what to look for: metric, goal, trials, and a table for each parameter",
            "add it as the section Tuning of README.md shows",
        )
    options = job.study.options
    changed = {
        name: value
        for name, value in (("trials", given.trials), ("parallel_trials", given.parallel))
        if value is not None
    }
    for name, value in changed.items():
        if value < 1:
            raise UserError(f"--{name.partition('_')[0]} is {value}", "at least 1", "correct it")
    options = dataclasses.replace(options, **changed)
    at_once = min(options.parallel_trials, options.trials)
    return dataclasses.replace(
        job.study, options=dataclasses.replace(options, parallel_trials=at_once)
    )


def check_local(given: argparse.Namespace) -> None:
    """Raise `UserError` if an option that is about jobs in the cloud stands beside --local."""
    options = {
        "--wait": given.wait,
        "--again": given.again,
        "--list": given.list,
        "--cancel": given.cancel is not None,
    }
    asked = [name for name, value in options.items() if value]
    if asked:
        raise UserError(
            f"{asked[0]} beside --local",
            "--local by itself: a study here is followed to its end, and gone on with by the same command",
            f"leave out --local, or {asked[0]}",
        )


def show(project: Project, job: Job, study: Study, arguments: list[str], console: Console) -> int:
    """Print the job, and nothing else, on standard output."""
    distribution = build(project, console)
    require_sound(project, job, distribution, arguments, console)
    run = run_of(project, job, distribution, new_run_name(), arguments)
    print(json.dumps(tuning_job(job, run, study), indent=2))
    return 0


def tune_here(
    project: Project,
    job: Job,
    study: Study,
    given: argparse.Namespace,
    rest: list[str],
    console: Console,
) -> int:
    """Run the study on this machine; write what came of it, and print it as a table."""
    distribution = build(project, console)
    require_sound(project, job, distribution, rest, console)
    code = run_prepare(project, job.data, distribution, ["--reuse", *levels(given)], console)
    if code:
        return code
    run = run_of(project, job, distribution, "study", [*rest, "-q"])
    custom_job = shrunk(spec.custom_job(job, run))
    # Where the code is the same, it does not matter which revision it is called.
    digest = digest_of(spec.custom_job(job, dataclasses.replace(run, revision="")), study)
    folder, resumed = next_study(project.runs, digest)
    wanted = wanted_trials(study)
    at_once = trials.most_at_once(study.options.parallel_trials)
    note = ", going on where it was stopped" if resumed else ""
    console.step("study", f"{project.shown_path(folder)}{note}; {wanted} trials, {at_once} at once")
    with local_study.only_study(folder, console) as lock:
        (folder / "digest").write_text(digest, encoding="utf-8")
        with mounted(links_of(project, job, distribution, run, folder)) as mount:
            place = trials.Place(project.folder, folder, mount, project.training.folder, lock)
            found = sampling.opened(study, folder / "study.db")
            work = local_study.Search(study, custom_job, place, found, console)
            local_study.search(work, wanted, at_once)
        outcomes = sampling.outcomes(found)
        study_report.write(folder, study, outcomes, work.value(local_study.DEFAULTS), console)
    if not any(each.value is not None for each in outcomes):
        return EXIT_FAILED
    console.step("next", "nox -s local_train -- --trial best, or submit -- --trial best")
    return 0


def links_of(
    project: Project,
    job: Job,
    distribution: SourceDistribution,
    run: spec.Run,
    folder: Path,
) -> dict[str, Path]:
    """Return the folders of this machine that stand for the bucket's: data, package and outputs."""
    return {
        run.data_uri: Path(project.absolute(job.data.prepared)),
        run.package_uri.rpartition("/")[0]: distribution.path.parent,
        spec.output_uri(job, run.name): folder,
    }


def wanted_trials(study: Study) -> int:
    """Return how many trials are run: those that are asked for, or all of a smaller grid."""
    if study.options.algorithm != "grid":
        return study.options.trials
    return sum(1 for _ in itertools.islice(sampling.grid(study), study.options.trials))


def digest_of(custom_job: dict[str, Any], study: Study) -> str:
    """Return a digest of all that a study's results depend on, so that only an equal one is gone on with."""
    endless = dataclasses.replace(study.options, trials=0, parallel_trials=0)
    unbounded = dataclasses.asdict(dataclasses.replace(study, options=endless))
    content = [custom_job["jobSpec"]["workerPoolSpecs"], unbounded]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
