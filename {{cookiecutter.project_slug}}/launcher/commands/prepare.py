"""`nox -s prepare`: clean, split and encode the table that job.toml names."""

from collections.abc import Sequence
from pathlib import Path

from launcher.commands.options import PrepareOptions
from launcher.console import Console, Refused
from launcher.contract import PREPARE_MODULE
from launcher.packaging.environment import install, run_module
from launcher.packaging.sdist import SourceDistribution
from launcher.project import NOT_PREPARED, Project, build, prepared_fingerprint
from launcher.spec.custom_job import data_uri
from launcher.spec.job_file import Data, Job


def prepare(project: Project, options: PrepareOptions, rest: list[str], console: Console) -> int:
    job = options.job(project)
    distribution = build(project, console)
    rest = [*rest, *options.verbosity]
    if not options.upload:
        return run_prepare(project, job.data, distribution, rest, console)
    code = run_prepare(project, job.data, distribution, ["--reuse", *rest], console)
    return code or upload_prepared(project, job, console)


def run_prepare(
    project: Project,
    data: Data,
    distribution: SourceDistribution,
    rest: Sequence[str],
    console: Console,
) -> int:
    python = install(project.preparation, distribution, console)
    arguments = [PREPARE_MODULE, *project.preparation_flags(data), *rest]
    return run_module(python, arguments, project.folder)


def upload_prepared(project: Project, job: Job, console: Console) -> int:
    # Imported here, so that --help and preparing alone do not wait for them.
    from launcher.checks.bucket import bucket_findings
    from launcher.checks.job_settings import ready_findings
    from launcher.executors.vertex.storage import not_prepared, storage_client, upload_folder

    fingerprint = prepared_fingerprint(project, job)
    if fingerprint == NOT_PREPARED:
        raise not_prepared()
    if unready := ready_findings(job):
        raise Refused(unready)
    client = storage_client(job.cloud.project)
    if findings := bucket_findings(job, client, console):
        raise Refused(findings)
    folder = Path(project.absolute(job.data.prepared))
    upload_folder(client, folder, data_uri(job, fingerprint), console)
    return 0
