"""Submitting jobs, without Google's libraries: what is recorded, created once, and shown."""

import dataclasses
import errno
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock, Timeout
from launcher.commands.cloud_jobs import fetch, metrics_text, metrics_texts, resource_of
from launcher.console import Console, UserError
from launcher.executors.vertex.follow import line_of, moment
from launcher.executors.vertex.jobs import CloudJob, cloud_job
from launcher.executors.vertex.send import (
    LONGEST_FACTOR,
    MAX_CREATIONS,
    Request,
    Stage,
    Submission,
    create_once,
    digest_of,
    pauses,
    save,
    submissions_in,
)
from launcher.executors.vertex.services import (
    NoResponse,
    RequestRefused,
    Rest,
    explained,
    is_loopback,
    message_of,
    one_line,
)
from launcher.executors.vertex.storage import fetch_all, raise_for_strangers
from launcher.files import locked, write_atomically
from launcher.spec.custom_job import Run, custom_job_of

from tests.bakery import SOURCES
from tests.launcher.samples import QUIET, job_of

RESOURCE = "projects/p/locations/us-central1/customJobs/12"
ACCEPTED = CloudJob(RESOURCE, "a-run", "QUEUED", "2026-11-24T15:30:00Z", "", "gs://b/x")
HOLD = """
import sys, time
from pathlib import Path
from launcher.console import Console
from launcher.files import locked
with locked(Path(sys.argv[1]), "another", Console()):
    print("held", flush=True)
    time.sleep(60)
"""


class Lost(Exception):
    """A response that is lost, after the service acted or before."""


@dataclasses.dataclass
class Service:
    """A job service whose creations go as `plan` says: created, created-but-lost, lost, refused."""

    plan: list[str]
    silent_finds: int = 0
    """How many calls of `find` get no response."""
    jobs: list[CloudJob] = dataclasses.field(default_factory=list)

    def create(self, custom_job: Mapping[str, Any]) -> CloudJob:
        step = self.plan.pop(0)
        if step == "refused":
            raise RequestRefused("the job is not accepted", 429, "quota")
        if step != "lost":
            self.jobs.append(ACCEPTED)
        if step != "created":
            raise NoResponse("the job", Lost("reset"))
        return ACCEPTED

    def find(self, run: str) -> CloudJob | None:
        self.silent_finds -= 1
        if self.silent_finds >= 0:
            raise NoResponse("the list of jobs", Lost("reset"))
        return self.jobs[-1] if self.jobs else None


class Unrecorded(Request):
    """A request whose submission is not written down."""

    def record(self, submission: Submission, stage: Stage, job: CloudJob | None) -> Submission:
        return submission


def created_by(service: Service, may_exist: bool = False) -> CloudJob:
    """Return the job of a submission, with pauses close to 0."""
    service_: Any = service
    request = Unrecorded(service_, Path(), lambda: None, QUIET, 5e-4)
    return create_once(request, submission("a-run"), may_exist)


@pytest.mark.parametrize(
    "plan",
    [["created"], ["created but lost"], ["lost", "created"], ["lost", "lost", "created but lost"]],
    ids=str,
)
@pytest.mark.parametrize("silent_finds", [0, 2])
def test_lost_responses_create_one_job(plan: list[str], silent_finds: int) -> None:
    service = Service(list(plan), silent_finds)
    assert created_by(service) == ACCEPTED
    assert len(service.jobs) == 1


def test_a_job_that_may_exist_is_looked_up_before_it_is_created() -> None:
    service = Service([], jobs=[ACCEPTED])
    assert created_by(service, may_exist=True) == ACCEPTED
    assert len(service.jobs) == 1


def test_nothing_is_created_while_a_job_may_exist() -> None:
    service = Service(["created"], silent_finds=100)
    with pytest.raises(UserError, match="run the same command again"):
        created_by(service, may_exist=True)
    assert not service.jobs


def test_creation_stops_at_a_refusal_or_after_the_last_retry() -> None:
    with pytest.raises(UserError, match="no response"):
        created_by(Service(["lost"] * MAX_CREATIONS))
    service = Service(["refused"])
    with pytest.raises(RequestRefused, match="quota"):
        created_by(service)
    assert not service.plan


def test_pauses_grow_up_to_a_bound_and_vary() -> None:
    some = list(pauses(1.0, 10))
    assert all(0.5 * min(2**n, LONGEST_FACTOR) <= pause for n, pause in enumerate(some))
    assert max(some) <= LONGEST_FACTOR
    assert some != list(pauses(1.0, 10))


def sent_job(name: str, *arguments: str) -> dict[str, Any]:
    return custom_job_of(job_of(), Run(name, "gs://b/p.tar.gz", "0" * 64, "gs://b/d", arguments))


def submission(run: str = "20261124-153000-abcdef", **changes: Any) -> Submission:
    """Return a submission without a response yet."""
    return dataclasses.replace(Submission(run, "digest", "p", "us-central1", {}), **changes)


def test_jobs_that_differ_in_nothing_but_the_run_are_equal() -> None:
    def digest(name: str, *arguments: str, region: str = "us-central1") -> str:
        return digest_of(sent_job(name, *arguments), "p", region)

    assert digest("one") == digest("two")
    assert digest("one") != digest("one", "--max-steps", "1")
    assert digest("one") != digest("one", region="europe-west4")


@pytest.mark.parametrize(
    ("earlier", "again", "is_resumed"),
    [
        (submission(), False, True),
        (submission(), True, True),
        (submission(job=RESOURCE, stage=Stage.REPORTED), False, True),
        (submission(job=RESOURCE, stage=Stage.REPORTED), True, False),
        (submission(stage=Stage.CONCLUDED), False, False),
        (submission(stage=Stage.CONCLUDED), True, False),
    ],
)
def test_which_submission_is_resumed(earlier: Submission, again: bool, is_resumed: bool) -> None:
    assert earlier.is_open(again) is is_resumed


def test_submissions_are_read_newest_first_without_invalid_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = save(tmp_path, submission("20261124-153000-ffffff"))
    new = save(tmp_path, submission("20261124-153001-000000", job=RESOURCE))
    (tmp_path / "20261125-000000-000000.json").write_text('{"run": "ha')
    (tmp_path / "20261125-000001-000000.json").write_text("{}")
    (tmp_path / "20261125-000002-000000.json").write_text('"text"')
    assert submissions_in(tmp_path, QUIET) == [new, old]
    # One that cannot be read may be a job that runs.
    assert capsys.readouterr().err.count("so whether its job was sent is not known") == 3
    assert not list(tmp_path.glob("*.part"))


def test_a_file_is_written_completely_or_stays_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.json"
    write_atomically(path, "before")

    def fail(_: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, "after")
    assert [each.name for each in tmp_path.iterdir()] == ["state.json"]
    assert path.read_text() == "before"


def test_one_process_holds_a_lock_and_a_killed_one_frees_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    command = [sys.executable, "-B", "-c", HOLD, str(path)]
    with subprocess.Popen(command, cwd=SOURCES, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout and holder.stdout.readline() == "held\n"
            with pytest.raises(Timeout):
                FileLock(path).acquire(timeout=0)
        finally:
            holder.kill()
    with locked(path, "another process", QUIET):
        pass


def test_a_job_is_found_by_its_number_or_its_run_and_else_is_the_newest() -> None:
    job, known = job_of(), [submission("20271124-153000-abcdef"), submission(job=RESOURCE)]
    with pytest.raises(UserError, match="no job was sent from here"):
        resource_of([], job, "latest", "customJobs")
    for wanted in ("latest", "12", known[1].run, RESOURCE):
        assert resource_of(known, job, wanted, "customJobs") == RESOURCE
    other = resource_of(known, job, "13", "hyperparameterTuningJobs")
    assert other and other.endswith(f"/{job.cloud.region}/hyperparameterTuningJobs/13")
    for wanted in ("20261111-153000-abcdef", "runs/1", "gs://b/x", ACCEPTED.address):
        assert resource_of(known, job, wanted, "customJobs") is None
    with pytest.raises(UserError, match="no job was sent from here"):
        resource_of(known, job, "latest", "hyperparameterTuningJobs")


@pytest.mark.parametrize(
    ("files", "needed", "remote", "wrong"),
    [
        (["a", "statistics.json"], ["a", "statistics.json"], [], ""),
        (["a", "statistics.json"], ["statistics.json"], ["a"], ""),
        (["a", "statistics.json"], [], ["a", "statistics.json"], ""),
        (["a", "statistics.json"], ["a"], ["a", "statistics.json"], "a"),
        (["a", "statistics.json"], ["a", "statistics.json"], ["b"], "b"),
    ],
)
def test_data_in_the_bucket_is_only_added_to(
    files: list[str], needed: list[str], remote: list[str], wrong: str
) -> None:
    def checked() -> None:
        raise_for_strangers("gs://b/d", files, needed, remote)

    if not wrong:
        return checked()
    with pytest.raises(UserError, match=f"gs://b/d/{wrong} is not"):
        checked()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-24T15:30:00Z", 0),
        ("2026-11-24T15:30:00.5Z", 500_000),
        ("2026-11-24T15:30:00.123456789Z", 123_456),
    ],
)
def test_timestamps_are_parsed_with_any_number_of_digits(text: str, seconds: int) -> None:
    read = moment(text)
    assert (read.isoformat()[:19], read.microsecond) == ("2026-11-24T15:30:00", seconds)


def test_log_lines_name_replicas_other_than_the_primary() -> None:
    def entry(replica: str, **content: object) -> dict[str, Any]:
        return {"resource": {"labels": {"task_name": replica}}, **content}

    assert line_of(entry("workerpool0-0", textPayload="step 1\n")) == "step 1"
    assert line_of(entry("workerpool1-2", jsonPayload={"message": "x"})) == "workerpool1-2: x"
    assert line_of({"textPayload": "plain"}) == "plain"
    assert line_of({"textPayload": ""}) == ""
    assert line_of({"jsonPayload": {"loss": 1}}) == "{'loss': 1}"


def test_jobs_are_parsed_with_and_without_their_optional_fields() -> None:
    least = cloud_job({"name": RESOURCE})
    assert (least.id, least.state, least.run, least.has_ended) == ("12", "UNKNOWN", "", False)
    assert metrics_text(None, dataclasses.replace(least, state="SUCCEEDED")) == ""
    with pytest.raises(UserError, match=r"job 12 \(unknown\) has left no metrics.json in any"):
        fetch(None, least, Path("absent"), QUIET)
    full = cloud_job(
        {
            "name": RESOURCE,
            "state": "JOB_STATE_FAILED",
            "labels": {"run": "r"},
            "error": {"message": "It\nfailed."},
            "jobSpec": {"baseOutputDirectory": {"outputUriPrefix": "gs://b/x/"}},
        }
    )
    assert (full.state, full.run, full.error, full.output) == (
        "FAILED",
        "r",
        "It failed",
        "gs://b/x",
    )
    assert full.has_ended and full.address.endswith("us-central1/training/12?project=p")


def test_metrics_of_one_job_that_cannot_be_read_leave_those_of_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def read_bytes(_: object, uri: str) -> bytes:
        if "foreign" in uri:
            raise RequestRefused(f"reading {uri}", 403, "denied")
        return b'{"auc": 0.5, "split": "test"}'

    monkeypatch.setattr("launcher.executors.vertex.storage.read_bytes", read_bytes)
    outputs = ("gs://b/x", "gs://foreign/x", "gs://b/y", "gs://foreign/y")
    jobs = [dataclasses.replace(ACCEPTED, state="SUCCEEDED", output=each) for each in outputs]
    assert metrics_texts(None, jobs, QUIET) == ["auc 0.5000", "", "auc 0.5000", ""]
    assert capsys.readouterr().err.count("warning: reading gs://foreign/") == 1


@pytest.mark.parametrize(("method", "field"), [("GET", "params"), ("POST", "json")])
def test_lists_are_read_page_by_page(
    monkeypatch: pytest.MonkeyPatch, method: str, field: str
) -> None:
    pages: list[dict[str, Any]] = [
        {"nextPageToken": "2", "jobs": [1]},
        {"nextPageToken": "3"},
        {"jobs": [2]},
    ]
    asked: list[tuple[str, str, dict[str, Any]]] = []

    def call(_: Rest, method: str, path: str, **content: dict[str, Any]) -> dict[str, Any]:
        asked.append((method, path, content[field]))
        return pages[len(asked) - 1]

    monkeypatch.setattr(Rest, "__init__", lambda _: None)
    monkeypatch.setattr(Rest, "call", call)
    new_rest: Any = Rest
    assert list(new_rest().items("jobs", method, "v1/jobs", {"filter": "f"})) == [1, 2]
    tokens = [content.get("pageToken") for _, _, content in asked]
    assert tokens == [None, "2", "3"]
    assert all(content["filter"] == "f" for _, _, content in asked)


@pytest.mark.parametrize("code", [400, 401, 403, 404, 418, 429])
def test_every_refusal_has_three_parts(code: int) -> None:
    assert str(RequestRefused("the job", code, "No.\nNever")).count("; ") >= 2
    assert "\n" not in str(RequestRefused("the job", code, "No.\nNever"))


@pytest.mark.parametrize(
    ("function", "given", "expected"),
    [
        (one_line, "", "no message"),
        (message_of, "POST http://127.0.0.1:1/x?y: No.", "No."),
        (message_of, 'POST https://x: {"error": {"message": "No."}}: (more)', "No."),
        (message_of, "[1] plain", "[1] plain"),
        (is_loopback, "http://127.0.0.1:80", True),
        (is_loopback, "https://127.0.0.1", False),
        (is_loopback, "http://127.0.0.1.example.com", False),
        (is_loopback, "", False),
    ],
)
def test_texts_of_responses_and_addresses_are_parsed(
    function: Callable[[Any], object], given: object, expected: object
) -> None:
    assert function(given) == expected


def test_a_full_disk_is_no_silence_of_the_service() -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "table.csv.part")
    expected = "downloading t: No space left on device; expected space on the disk"
    with pytest.raises(UserError, match=expected), explained("downloading t"):
        raise full
    with pytest.raises(NoResponse), explained("downloading t"):
        raise ConnectionResetError(errno.ECONNRESET, "reset")


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/etc/evil"])
def test_no_object_is_downloaded_out_of_its_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=f"the object {name!r} leads out of"):
        fetch_all({name: None, "fine": None}, [name, "fine"], tmp_path / "job", Console())
    assert not list(tmp_path.iterdir())
