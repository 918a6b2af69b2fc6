"""`nox -s tune`: a study of the job, on this machine or as a HyperparameterTuningJob."""

import dataclasses
import functools
import hashlib
import itertools
import json
from pathlib import Path
from typing import Any

from launcher.checks.features import gives_metric
from launcher.checks.study import tier_findings
from launcher.commands.prepare import run_prepare
from launcher.commands.session import Session
from launcher.commands.submit import run_in_cloud, show
from launcher.console import Console, Refused, UserError
from launcher.contract import EXIT_FAILED, STATISTICS
from launcher.executors.local.cluster import shrunk
from launcher.executors.local.executor import mounted
from launcher.executors.vertex.follow import report_failure, trial_log
from launcher.executors.vertex.jobs import SUCCEEDED, CloudJob, TuningService, outcomes_of
from launcher.files import locked, read_json
from launcher.project import Project
from launcher.runs import STUDY_PREFIX, new_folder, next_study
from launcher.spec.custom_job import custom_job_of, output_uri
from launcher.spec.study import Study
from launcher.spec.tuning_job import tuning_job
from launcher.tuning import optuna_sampler, report, search


def tune(session: Session) -> int:
    study, options = study_of(session), session.options
    if findings := tier_findings(session.job):
        raise Refused(findings)
    resource_of = functools.partial(tuning_job, study=study)
    if options.local:
        expected = "--local by itself: a local study is followed to its end, and the same command resumes it"
        session.refuse_beside("local", ("dry_run", "wait", "again"), expected)
        return tune_here(session, study)
    if options.dry_run:
        return show(session, resource_of)
    log_of = functools.partial(trial_log, study=study)
    report_ended = functools.partial(report_study, session.project, study)
    return run_in_cloud(session, TuningService, resource_of, log_of, report_ended)


def study_of(session: Session) -> Study:
    """Return the study of job.toml, with the values of the command line; raise `UserError` if there is none.

    The service refuses more parallel trials than there are trials.
    """
    job, options = session.job, session.options
    if job.study is None:
        raise UserError(
            "job.toml has no section [study]",
            "one with metric, goal, trials, and a table for each parameter",
            "add it as the section Tuning of README.md shows",
        )
    for name, value in (("trials", options.trials), ("parallel", options.parallel)):
        if value is not None and value < 1:
            raise UserError(f"--{name} is {value}", "at least 1", "correct it")
    written = job.study.options
    is_trainers = not written.metric or gives_metric(session.arguments)
    if is_trainers and not (options.list or options.cancel):
        written = dataclasses.replace(written, **session.found.objective)
        if not written.metric:
            what = f"job.toml [study] has no metric, and {job.cloud.module} names none"
            raise UserError(what, "the metric that it reports", "add metric and goal")
    trial_count = options.trials or written.trials
    parallel = min(options.parallel or written.parallel_trials, trial_count)
    changed = dataclasses.replace(written, trials=trial_count, parallel_trials=parallel)
    return dataclasses.replace(job.study, options=changed)


def tune_here(session: Session, study: Study) -> int:
    project, job, console = session.project, session.job, session.console
    session.check()
    if code := run_prepare(session, "--reuse"):
        return code
    run = session.run_named("study", "-q")
    # Where the code is the same, it does not matter which revision it is called.
    digest = digest_of(custom_job_of(job, dataclasses.replace(run, revision="")), study)
    folder, resumed = next_study(project.runs, digest)
    links = {
        run.data_uri: Path(project.absolute(job.data.prepared)),
        output_uri(job, run.name): folder,
    }
    wanted, at_a_time = study.options.trials, study.options.parallel_trials
    if study.options.algorithm == "grid":  # which may have fewer
        wanted = sum(1 for _ in itertools.islice(optuna_sampler.grid(study), wanted))
    at_a_time = search.most_in_parallel(at_a_time)
    note = f"{', resuming' if resumed else ''}; {wanted} trials, {at_a_time} in parallel"
    console.step("study", f"{project.shown_path(folder)}{note}")
    with locked(folder / "lock", "another nox -s tune on this study", console):
        with mounted(links) as mount:
            custom_job, package = shrunk(custom_job_of(job, run)), session.package.path
            work = search.Search(study, folder, custom_job, package, mount, project.folder, console)
            search.search(work, wanted, at_a_time)
        outcomes = optuna_sampler.outcomes(work.optuna_study)
        statistics = read_json(Path(project.absolute(job.data.prepared), STATISTICS))
        default = work.value(search.DEFAULTS)
        best = report.write(folder, study, outcomes, default, console, statistics)
    if best is None:
        return EXIT_FAILED
    console.step("next", "nox -s local_train -- --trial best, or submit -- --trial best")
    return 0


def digest_of(custom_job: dict[str, Any], study: Study) -> str:
    """Return a digest of all that a study's results depend on, so that only an equal one is resumed."""
    endless = dataclasses.replace(study.options, trials=0, parallel_trials=0)
    unbounded = dataclasses.asdict(dataclasses.replace(study, options=endless))
    content = [custom_job["jobSpec"]["workerPoolSpecs"], unbounded]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def report_study(project: Project, study: Study, job: CloudJob, console: Console) -> int:
    outcomes = outcomes_of(job, study)
    if any(each.value is not None for each in outcomes):
        folder = new_folder(project.runs, STUDY_PREFIX)
        report.write(folder, study, outcomes, None, console, drawn=False)
        console.step("next", "nox -s submit -- --trial best, or local_train -- --trial best")
    if job.state != SUCCEEDED:
        return report_failure(job, console)
    console.step("outputs", f"{job.output}/TRIAL/model")
    return 0
