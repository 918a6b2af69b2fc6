"""A study as a HyperparameterTuningJob: sent once, like any job, and followed trial by trial."""

import argparse
import functools

from launcher import following, study_report
from launcher.cloud_jobs import answered
from launcher.console import Console
from launcher.following import EXIT_FAILED, SUCCEEDED, Follower
from launcher.job import Job
from launcher.progress import Progress
from launcher.project import Project
from launcher.runs import new_study
from launcher.study import Study
from launcher.study_spec import tuning_job
from launcher.submit import deliver, noter, poll_seconds
from launcher.tuning_service import TrialLog, TuningService, outcomes_of
from launcher.vertex import CloudJob


def tune_in_the_cloud(
    project: Project,
    job: Job,
    study: Study,
    given: argparse.Namespace,
    rest: list[str],
    console: Console,
) -> int:
    """Send the study to Google Cloud, or do with studies there what an option says; return the exit code."""
    code = answered(project, job, given, TuningService, console)
    if code is not None:
        return code
    resource_of = functools.partial(tuning_job, study=study)
    sending, submission, sent = deliver(
        project, job, given, rest, TuningService, resource_of, console
    )
    if not given.wait and not sent.has_ended:
        return 0
    log = TrialLog(sending.service, sent, study)
    follower = Follower(sending.service, log, console, Progress(console), poll_seconds(given))
    verdict = functools.partial(study_verdict, project, study)
    return following.to_verdict(follower, sent, verdict, noter(sending, submission))


def study_verdict(project: Project, study: Study, job: CloudJob, console: Console) -> int:
    """Say how the study ended and what came of it; write that where a local study's result is."""
    outcomes = outcomes_of(job, study)
    if any(each.value is not None for each in outcomes):
        folder = new_study(project.runs)
        folder.mkdir(parents=True)
        study_report.write(folder, study, outcomes, None, console, drawn=False)
        console.step("next", "nox -s submit -- --trial best, or local_train -- --trial best")
    if job.state == SUCCEEDED:
        console.step("outputs", f"{job.output}/TRIAL/model")
        return 0
    reason = f": {job.error}" if job.error else ""
    console.always(f"error: job {job.id} {job.state.lower()}{reason}; it is at {job.address}")
    return EXIT_FAILED
