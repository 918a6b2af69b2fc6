"""`nox -s submit`: check, build, upload, create, follow; and what else is done with jobs in the cloud."""

import dataclasses
import functools
import json
from collections.abc import Callable
from typing import Any

from launcher import runs
from launcher.commands.check import cloud_findings
from launcher.commands.cloud_jobs import list_or_cancel
from launcher.commands.session import Session
from launcher.commands.tiers import machine_text, machines_text
from launcher.console import Refused, UserError
from launcher.executors.vertex import follow, storage
from launcher.executors.vertex.jobs import JobService
from launcher.executors.vertex.send import Request, new_run_name
from launcher.project import NOT_PREPARED, prepared_fingerprint
from launcher.results import NOT_SHOWN, chosen_model
from launcher.spec.catalog import google_cloud
from launcher.spec.custom_job import Run, custom_job_of, gcloud_file
from launcher.spec.job_file import Job, argument_flags, duration_seconds

ResourceOf = Callable[[Job, Run], dict[str, Any]]
"""Makes the CustomJob or the HyperparameterTuningJob of a run."""


def submit(session: Session) -> int:
    if session.options.run:
        session = with_flags_of_run(session, session.options.run)
    if session.options.dry_run or session.options.gcloud:
        return show(session, custom_job_of, session.options.gcloud)
    reports = (follow.job_log, follow.report_outcome)
    return run_in_cloud(session, JobService, custom_job_of, *reports)


def with_flags_of_run(session: Session, run: str) -> Session:
    """Return a session that trains with the flags of a run on this machine; report what else differs from that run."""
    session.refuse_beside("run", ("trial",), "one of the two")
    project, console = session.project, session.console
    folder = chosen_model(project.runs, run, session.job.study).parent
    record, name = runs.read(folder), project.shown_path(folder)
    if record is None:
        what, expected = f"{name} does not record what it was", "a run of this version"
        raise UserError(what, expected, "name another --run, or write its flags")
    flags = {k: value or True for k, value in record.flags.items() if k not in NOT_SHOWN}
    console.step("run", f"{name}, with {' '.join(argument_flags(flags)) or 'no flags'}")
    session = dataclasses.replace(session, flags=flags)
    for each in runs.changed_files(record.package, session.package.path):
        console.warning(f"since {name}, {each}")
    if record.data_id != prepared_fingerprint(project, session.job):
        console.warning(f"since {name}, the prepared data changed")
    return session


def run_in_cloud(
    session: Session,
    kind: type[JobService],
    resource_of: ResourceOf,
    log_of: follow.LogOf,
    report: follow.Report,
) -> int:
    """Check and send a job and, with --wait, report how it ended; or list or cancel jobs. Return the exit code."""
    code, job, options = list_or_cancel(session, kind), session.job, session.options
    if code is not None:
        return code
    # First, so that nothing is built without credentials.
    service = kind(job.cloud.project, job.cloud.region)
    stale, run = session.check(), session.run_named(new_run_name())
    if run.data_uri.endswith(NOT_PREPARED):
        raise storage.not_prepared()
    if stale:
        raise Refused(stale)
    fill = functools.partial(fill_bucket, session, run)
    how = (fill, session.console, options.poll_seconds, options.again, options.wait)
    request = Request(service, session.project.submissions, *how)
    sent = (run.name, resource_of(job, run), described(session))
    return follow.send_and_follow(request, *sent, log_of, report)


def described(session: Session) -> dict[str, Any]:
    """Return what a submission records beside the job, which names the code but not how it was sent."""
    project, data = session.project, session.job.data
    requirements = project.training.requirements(session.package)
    return {
        "command": runs.typed_command(),
        "package": session.package.content,
        "data": {"id": prepared_fingerprint(project, session.job), "folder": data.prepared},
        "table": [project.absolute(path) for path in (data.train, data.test) if path],
        "uncommitted": runs.uncommitted(project),
        "versions": runs.versions_of(requirements),
    }


def show(session: Session, resource_of: ResourceOf, for_gcloud: bool = False) -> int:
    """Print the job, and nothing else, on standard output. Needs no credentials and no network."""
    stale, run = session.check(), session.run_named(new_run_name())
    console, cloud, resource = session.console, session.job.cloud, resource_of(session.job, run)
    if run.data_uri.endswith(NOT_PREPARED):
        console.step("data", "not prepared yet: its address will end in its fingerprint")
    as_json = json.dumps(resource, indent=2)
    print(gcloud_file(resource, cloud.project, cloud.region) if for_gcloud else as_json)
    for label, text in cost_of(session.job, resource.get("maxTrialCount", 1)).items():
        console.step(label, text)
    for finding in stale:
        console.warning(finding)
    console.step("next", f"the package goes to {run.package_uri}, the data to {run.data_uri}")
    return 0


def cost_of(job: Job, trials: int) -> dict[str, str]:
    """Return the machines of a job, its longest time, and what these cost at most: prices are Google's to tell."""
    tier, hours = job.tier(), duration_seconds(job.scheduling.timeout) / 3600
    each = " + ".join(f"{pool.replicas} x {machine_text(pool)}" for pool in tier.values())
    times, longest = (f"{trials} trials x ", " each") if trials > 1 else ("", "")
    return {
        "machines": f"{machines_text(tier)}; at most {hours:g} hours{longest} (timeout in job.toml)",
        "cost": f"at most {times}{hours:g} hours x ({each}), at the prices per hour of {google_cloud()['prices']}",
    }


def fill_bucket(session: Session, run: Run) -> None:
    if findings := cloud_findings(session, run.data_uri):
        raise Refused(findings)
    client = storage.storage_client(session.job.cloud.project)
    storage.upload_package(client, session.package, run.package_uri, session.console)
