"""`nox -s batch`: predict a table with a batch job of the service."""

import filecmp
import functools
import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from launcher.checks.serving import serving_findings
from launcher.commands.cloud_jobs import list_or_cancel
from launcher.commands.deploy import Deployment, release_of
from launcher.commands.session import Session
from launcher.console import Console, Refused, UserError
from launcher.contract import BATCH_MODULE
from launcher.executors.vertex import storage
from launcher.executors.vertex.follow import Log, report_failure, send_and_follow
from launcher.executors.vertex.jobs import SUCCEEDED, BatchService, CloudJob
from launcher.executors.vertex.send import Request, new_run_name
from launcher.spec import serving
from launcher.spec.catalog import google_cloud
from launcher.spec.custom_job import folder_uri

INSTANCES = "instances.jsonl"
BIGQUERY = "bq://"
BLOCK_BYTES = 1 << 20


def batch(session: Session) -> int:
    job, options = session.job, session.options
    code = list_or_cancel(session, BatchService)
    if code is not None:
        return code
    if findings := serving_findings(job, None):
        raise Refused(findings)
    if not options.input:
        raise UserError("--input is not given", "a table to predict", "name one with --input")
    service = BatchService(job.cloud.project, job.cloud.region)
    release, model = release_of(session)
    with tempfile.TemporaryDirectory() as folder:
        source, fill = source_of(session, options.input, Path(folder))
        version = Deployment.of(session).registered(release, model)
        run = new_run_name()
        output = f"{folder_uri(job)}/batches/{run}"
        resource = serving.batch_body(job, version, source, output, run)
        report_cost(session.console, resource)
        how = (fill, session.console, options.poll_seconds, options.again, True)
        request = Request(service, session.project.submissions, *how)
        report = functools.partial(joined, session, options.input, Path(folder))
        return send_and_follow(request, run, resource, {}, lambda *_: Log(lambda: ()), report)


def source_of(session: Session, given: str, folder: Path) -> tuple[str, Any]:
    """Return the address of the instances, and what uploads them: a table of BigQuery is read where it is."""
    job = session.job
    if given.startswith(BIGQUERY):
        if session.arguments or given.count(".") != 2:
            what = " ".join(["--input", given, *session.arguments])
            raise UserError(what, f"--input {BIGQUERY}PROJECT.DATASET.TABLE alone", "correct it")
        return given, lambda: None
    client = storage.storage_client(job.cloud.project)
    if given.startswith("gs://"):
        storage.copy_table(client, given, session.project.copies, session.console)
    path = folder / INSTANCES
    write_instances(session, given, path)
    check_requests(path, job.serving.batch_size)
    uri = f"{folder_uri(job)}/batches/{digest_of_file(path)[:16]}"

    def fill() -> None:
        storage.upload_folder(client, folder, uri, session.console)

    return f"{uri}/{INSTANCES}", fill


def run_batch(session: Session, given: str, *flags: str) -> int:
    """Run trainer.batch on the input; return its exit code."""
    source = ("--input", session.project.table(given))
    environment = session.project.training
    return session.run_module(environment, BATCH_MODULE, *source, *flags, *session.arguments)


def write_instances(session: Session, given: str, path: Path) -> None:
    if run_batch(session, given, "--instances", str(path)):
        raise UserError("there are no instances", "rows that can be read", "see the error above")


def check_requests(path: Path, rows: int) -> None:
    """Raise `UserError` if a request of `rows` instances is larger than what the container takes."""
    with path.open("rb") as file:
        sizes = [len(line) for line in file]
    largest = max((sum(sizes[i : i + rows]) for i in range(0, len(sizes), rows)), default=0)
    if largest > (most := serving.DEDICATED_BYTES):
        fix = f"write batch_size = {max(1, rows * most // (2 * largest))} in job.toml"
        what = f"{rows:,} rows (batch_size) are a request of {largest:,} bytes"
        raise UserError(what, f"at most {most:,}, which the container takes", fix)


def check_unchanged(session: Session, given: str, folder: Path) -> None:
    """Raise `UserError` if the rows are not those that the job was sent: results are joined by their numbers."""
    again = folder / "again.jsonl"
    write_instances(session, given, again)
    if not filecmp.cmp(again, folder / INSTANCES, shallow=False):
        what, expected = f"the rows of {given} have changed since", "the rows that the job was sent"
        raise UserError(what, expected, "run the same command again, which predicts the new ones")


def digest_of_file(path: Path) -> str:
    content = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(BLOCK_BYTES), b""):
            content.update(block)
    return content.hexdigest()


def report_cost(console: Console, resource: Mapping[str, Any]) -> None:
    machines = resource["dedicatedResources"]
    replicas, machine = machines["startingReplicaCount"], machines["machineSpec"]["machineType"]
    size = resource["manualBatchTuningParameters"]["batchSize"]
    text = f"{replicas} x {machine} until it ends, {size} rows a request"
    console.step("cost", f"{text}: {google_cloud()['prices']}")


def joined(session: Session, given: str, folder: Path, job: CloudJob, console: Console) -> int:
    """Report the counts of a job that has ended, and join its results to the rows of the input."""
    console.step("rows", f"{job.successful} predicted, {job.failed} failed")
    if job.state != SUCCEEDED:
        return report_failure(job, console)
    if given.startswith(BIGQUERY):
        console.step("output", job.output)
        return 0
    check_unchanged(session, given, folder)
    client, results = storage.storage_client(job.project), folder / "results"
    remote = storage.list_objects(client, job.output)
    storage.fetch_all(remote, remote, results, console)
    return run_batch(session, given, "--results", str(results))
