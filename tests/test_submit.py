"""Submitting from a baked project to the doubles: whatever fails, one job, one package, the right outcome."""

import importlib
import json
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from launcher import runs
from launcher.runs import flags_of
from launcher.spec.custom_job import arguments_of

from tests.doubles import faults
from tests.doubles.clients import wait_until
from tests.doubles.faults import Fault
from tests.doubles.server import Json
from tests.drill import many
from tests.launcher.samples import record_of
from tests.specs import specs_of
from tests.submitting import (
    BUCKET,
    DRIVER,
    FINGERPRINT,
    METRICS,
    PROJECT,
    REGION,
    SLUG,
    World,
)

pytestmark = pytest.mark.minute

JOBS = "/customJobs$"
KILLS = many(6, 20)
FIRST_STEPS = 1000
LONGEST_SUBMIT_SECONDS = 5.0


def test_a_job_is_submitted_followed_and_prints_its_metrics(ready: World) -> None:
    done = ready.run("submit", "--wait", "--max-steps", "7")
    assert json.loads(done.stdout) == METRICS
    assert "step 1, loss 0.5" in done.stderr
    assert f"gs://{BUCKET}/{SLUG}/jobs/" in done.stderr
    (job,), (sent,), (package,) = ready.jobs, ready.submissions, ready.packages
    assert sent["stage"] == "CONCLUDED" and sent["state"] == "SUCCEEDED"
    assert sent["job"] == job["name"]
    assert normal(sent["custom_job"]) == normal(job)
    assert sent["record"]["command"].startswith("nox -s submit -- --wait --max-steps 7")
    assert sent["record"]["package"][:16] == package.parent.name
    assert sent["record"]["data"] == {"id": FINGERPRINT, "folder": "data/prepared"}
    arguments = sent["custom_job"]["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]["args"]
    assert arguments[-2:] == ["--max-steps", "7"]
    assert str(package.relative_to(ready.root)) in json.dumps(sent["custom_job"])

    ready.run("submit", "--max-steps", "7")
    assert len(ready.jobs) == 2 and len(ready.packages) == 1
    wait_until(lambda: ready.jobs[1]["state"] == "JOB_STATE_SUCCEEDED")
    # The command that the first submit recommends shows this job's outcome, though it has ended meanwhile.
    done = ready.run("submit", "--wait", "--max-steps", "7")
    assert json.loads(done.stdout) == METRICS
    assert len(ready.jobs) == 2


def test_the_results_of_a_job_are_listed_and_fetched(ready: World) -> None:
    ready.run("submit", "--wait")
    assert "auc 0.5000" in ready.run("submit", "--list").stdout
    run = ready.submissions[0]["run"]
    (output,) = (ready.root / BUCKET / SLUG / "jobs").iterdir()
    (output / "checkpoints").mkdir()
    (output / "checkpoints" / "1").touch()
    for wanted in (run, "latest", ready.jobs[0]["name"].rpartition("/")[2]):
        assert json.loads(ready.run("submit", "--fetch", wanted).stdout) == METRICS
    # On another machine only the service knows the run.
    shutil.rmtree(ready.project / "runs")
    ready.run("submit", "--fetch", run)
    files = [path for path in (ready.project / "runs" / run).rglob("*") if path.is_file()]
    assert sorted(path.name for path in files) == ["metrics.json", "saved_model.pb"]

    (output / "metrics.json").unlink()
    assert "auc" not in ready.run("submit", "--list").stdout
    done = ready.run("submit", "--fetch", run, code=2)
    assert "has left no metrics.json in gs://" in done.stderr
    assert "there is no job of the run 1-a" in ready.run("submit", "--fetch", "1-a", code=2).stderr
    ready.cloud.faults.plan("GET", "metrics.json", faults.DENIED, times=10)
    done = ready.run("submit", "--list")
    assert done.stderr.count("roles/storage.objectAdmin") == 1 and "SUCCEEDED" in done.stdout


@pytest.mark.full
def test_a_submit_after_the_end_of_an_equal_job_creates_another(ready: World) -> None:
    for number in (1, 2):
        ready.run("submit")
        assert len(ready.jobs) == number
        wait_until(lambda: all(job["state"] == "JOB_STATE_SUCCEEDED" for job in ready.jobs))


def normal(custom_job: Json) -> Json:
    """Return a job as the SDK's type writes it, without the fields that the service adds."""
    types = importlib.import_module("google.cloud.aiplatform_v1.types")
    json_format = importlib.import_module("google.protobuf.json_format")
    kept = {key: custom_job[key] for key in ("displayName", "labels", "jobSpec")}
    message = json_format.ParseDict(kept, types.CustomJob.pb(types.CustomJob()))
    return dict(json_format.MessageToDict(message))


@pytest.mark.full
def test_an_equal_running_job_is_not_created_twice_without_again(ready: World) -> None:
    ready.pace[0] = 600.0  # longer than all commands of this test take on a busy machine
    first = ready.run("submit").stdout.strip()
    done = ready.run("submit")
    assert done.stdout.strip() == first == ready.jobs[0]["name"]
    assert "--again" in done.stderr
    assert len(ready.jobs) == 1
    second = ready.run("submit", "--again").stdout.strip()
    assert second != first
    headings, *rows = ready.run("submit", "--list").stdout.splitlines()
    assert headings.startswith("ID")
    assert [row.split()[0] for row in rows] == [name.rpartition("/")[2] for name in (second, first)]
    assert "cancelled" in ready.run("submit", "--cancel").stderr
    assert "cancelled" in ready.run("submit", "--cancel", first.rpartition("/")[2]).stderr
    wait_until(lambda: all(job["state"] == "JOB_STATE_CANCELLED" for job in ready.jobs))
    assert "has ended" in ready.run("submit", "--cancel", "latest").stderr


@pytest.mark.full
@pytest.mark.parametrize(
    "fault",
    [faults.ANSWER_LOST, faults.RESET_BEFORE, faults.UNAVAILABLE],
    ids=["answer lost", "reset before", "unavailable"],
)
def test_a_lost_response_creates_no_second_job(ready: World, fault: Fault) -> None:
    ready.cloud.faults.plan("POST", JOBS, fault)
    ready.cloud.faults.plan("GET", "customJobs.*labels.run", faults.UNAVAILABLE)
    ready.run("submit", "--wait")
    assert len(ready.jobs) == 1


@pytest.mark.full
def test_an_unanswered_creation_is_completed_by_the_next_submit(ready: World) -> None:
    ready.cloud.faults.plan("POST", JOBS, faults.ANSWER_LOST)
    ready.cloud.faults.plan("GET", "customJobs.*labels.run", faults.UNAVAILABLE, times=100)
    assert "run the same command again" in ready.run("submit", code=2).stderr
    ready.cloud.faults.clear()
    ready.run("submit", "--again")
    assert len(ready.jobs) == len(ready.submissions) == 1


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (faults.OVER_QUOTA, "custom_model_training_cpus"),
        (faults.DENIED, "roles/aiplatform.user"),
        (Fault(status=400, message="No such field."), "No such field"),
    ],
    ids=["quota", "denied", "invalid"],
)
def test_a_refusal_is_reported_and_concludes_the_submission(
    ready: World, fault: Fault, words: str
) -> None:
    ready.cloud.faults.plan("POST", JOBS, fault, times=3)
    done = ready.run("submit", "--wait", code=2)
    assert words in done.stderr and "; expected " in done.stderr
    assert [sent["stage"] for sent in ready.submissions] == ["CONCLUDED"]
    assert not ready.jobs


@pytest.mark.full
def test_a_submit_resumes_after_expired_credentials_are_renewed(ready: World) -> None:
    ready.cloud.faults.plan("POST", JOBS, faults.EXPIRED, times=3)
    assert "gcloud auth application-default login" in ready.run("submit", code=2).stderr
    ready.cloud.faults.clear()
    ready.run("submit", "--wait")
    assert len(ready.jobs) == len(ready.submissions) == 1


@pytest.mark.full
def test_a_failed_job_reports_its_reason(ready: World) -> None:
    ready.codes[0] = 3
    ready.cloud.faults.plan("POST", "entries:list", faults.UNAVAILABLE)
    done = ready.run("submit", "--wait", code=1)
    assert "loss is not finite" in done.stderr
    assert "non-zero status of 3" in done.stderr
    assert ready.submissions[0]["state"] == "FAILED"


@pytest.mark.full
def test_following_tolerates_an_unreadable_log_and_state(
    ready: World,
) -> None:
    ready.cloud.faults.plan("POST", "entries:list", faults.DENIED, times=1000)
    ready.cloud.faults.plan("GET", "customJobs/[0-9]", faults.RESET_BEFORE, times=2)
    done = ready.run("submit", "--wait")
    assert json.loads(done.stdout) == METRICS
    assert done.stderr.count("roles/logging.viewer") == 1


@pytest.mark.full
def test_another_package_at_the_same_address_is_not_run(ready: World) -> None:
    ready.run("submit", "--wait")
    (package,) = ready.packages
    package.write_bytes(b"something else")
    assert "holds another package" in ready.run("submit", code=2).stderr
    assert package.read_bytes() == b"something else"
    assert len(ready.jobs) == 1


@pytest.mark.full
def test_a_package_that_arrives_corrupted_is_uploaded_again(ready: World) -> None:
    ready.cloud.faults.plan("POST", "/upload/", faults.CORRUPT)
    ready.run("submit", "--wait")
    assert len(ready.packages) == 1
    ready.run("submit", "--wait")


@pytest.mark.full
def test_a_submit_killed_at_any_moment_and_run_again_creates_one_job(ready: World) -> None:
    choose = random.Random(KILLS)
    ready.pace[0] = 1.0
    for number in range(KILLS):
        # Another argument makes another job.
        steps = str(FIRST_STEPS + number)
        arguments = ("submit", "--wait", "--max-steps", steps)
        began = ready.start(*arguments)
        moment = choose.uniform(0.0, LONGEST_SUBMIT_SECONDS)
        time.sleep(moment)
        began.send_signal(signal.SIGKILL)
        began.communicate()
        ended = bool(ready.submissions) and ready.submissions[-1]["stage"] == "CONCLUDED"
        done = ready.run(*arguments)
        assert json.loads(done.stdout) == METRICS
        sent = [job for job in ready.jobs if f'"{steps}"' in json.dumps(job["jobSpec"])]
        # If it was killed after its last message, the first submit was complete: then the second creates another.
        assert len(sent) == 1 + (ended and len(sent) == 2), f"killed after {moment:.2f} s"
        assert len(ready.packages) == 1
        assert all(each["stage"] == "CONCLUDED" for each in ready.submissions)


def test_a_submit_killed_around_the_create_call_creates_one_job(ready: World) -> None:
    for number, delay in enumerate((0.0, 3.0)):
        fault = Fault(delay=delay) if delay else faults.RESET_BEFORE
        ready.cloud.faults.plan("POST", JOBS, fault)
        ready.cloud.faults.plan("GET", "labels.run", Fault(delay=3.0), times=0 if delay else 1)
        arguments = ("submit", "--wait", "--max-steps", str(number))
        began = ready.start(*arguments)
        asked = ready.asked_for_job if delay else ready.lost_an_answer
        wait_until(partial(asked, number), 30.0)
        began.send_signal(signal.SIGKILL)
        began.communicate()
        assert ready.submissions[-1]["job"] is None
        ready.run(*arguments)
        assert len(ready.jobs) == number + 1
        assert len(ready.submissions) == number + 1


@pytest.mark.full
def test_two_parallel_submits_create_one_job(ready: World) -> None:
    ready.pace[0] = 60.0  # longer than both submits take on a busy machine
    both = [ready.start("submit"), ready.start("submit")]
    said = [each.communicate()[0] for each in both]
    assert [each.returncode for each in both] == [0, 0], said
    assert len(ready.jobs) == 1, said


@pytest.mark.full
def test_ctrl_c_stops_following_and_not_the_job(ready: World) -> None:
    ready.pace[0] = 60.0
    began = ready.start("submit", "--wait")
    wait_until(lambda: bool(ready.jobs) and ready.submissions[-1]["stage"] == "REPORTED", 30.0)
    time.sleep(0.5)
    began.send_signal(signal.SIGINT)
    said, _ = began.communicate(timeout=20)
    assert began.returncode == 130
    assert "continues" in said and "--cancel" in said and "Traceback" not in said
    assert ready.jobs[0]["state"] == "JOB_STATE_RUNNING"
    ready.run("submit", "--cancel")
    assert "cancelled" in ready.run("submit", "--wait", code=1).stderr
    assert len(ready.jobs) == 1


WITHOUT_SDK = "import sys; sys.modules['google'] = None; exec(sys.argv.pop(1))"


def test_a_job_gets_the_flags_of_a_run(ready: World, tmp_path: Path) -> None:
    job_toml = (ready.project / "job.toml").read_text("utf-8")
    own = '[arguments]\nepochs = 99\nmetric = "f1"'
    (ready.project / "job.toml").write_text(job_toml.replace("[arguments]", own), "utf-8")
    earlier = ("--data-dir", "gs://b/d", "--seed", "3", "--dropout=0.5", "--fast", "-q")
    for number, area in ((1, 0.9), (2, 0.8)):
        folder = ready.project / "runs" / f"{number:04d}"
        folder.mkdir(parents=True)
        runs.write(record_of(tmp_path, *earlier[: 9 - number]), folder, {})
        history = {"auc": area, "history": [{"auc": area}], "metric": "auc", "goal": "maximize"}
        (folder / "metrics.json").write_text(json.dumps(history), "utf-8")
        (folder / "model").mkdir()
        (folder / "model" / "saved_model.pb").touch()
    done = ready.run("submit", "--dry-run", "--run", "best", "--seed", "4")
    (pool,) = json.loads(done.stdout)["jobSpec"]["workerPoolSpecs"]
    flags = flags_of(arguments_of(pool))
    assert flags.pop("data-dir").startswith("gs://some-bucket-1/")
    assert flags == {"seed": "4", "dropout": "0.5", "fast": ""}
    assert "runs/0001, with --seed 3 --dropout 0.5 --fast" in done.stderr
    assert "since runs/0001, the prepared data changed" in done.stderr
    assert re.search("since runs/0001, .* more files changed", done.stderr)
    refused = ready.run("submit", "--run", "1", "--list", code=2).stderr
    assert (
        "error: --run beside --list; expected --list by itself; leave out --list, or --run"
        in refused
    )
    assert "there is no run 7 with a model" in ready.run("submit", "--run", "7", code=2).stderr
    shutil.rmtree(ready.project / "runs" / "0002" / "record")
    (ready.project / "runs" / "0002" / "config.json").write_text("{}", "utf-8")
    unknown = ready.run("submit", "--run", "2", "--dry-run", code=2).stderr
    assert "runs/0002 does not record what it was; expected a run of this version" in unknown


@pytest.mark.full
def test_printing_a_job_needs_no_sdk_and_the_sdk_parses_it(world: World) -> None:
    yaml: Any = importlib.import_module("yaml")
    (world.project / "data" / "prepared" / "statistics.json").unlink()

    def printed(*arguments: str) -> str:
        command = [sys.executable, "-c", WITHOUT_SDK, DRIVER, "submit", *arguments]
        done = subprocess.run(
            command, cwd=world.project, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "not prepared yet" in done.stderr
        return done.stdout

    shown = json.loads(printed("--dry-run"))
    assert normal(shown)["displayName"] == SLUG
    file = yaml.safe_load(printed("--gcloud"))
    for each in (shown["jobSpec"], file):
        each.pop("baseOutputDirectory")
    assert file == shown["jobSpec"]
    assert not world.cloud.faults.log and not (world.project / "runs").exists()


EVERY_TIER = """
import json, sys
from launcher.executors.vertex.jobs import JobService
service = JobService(sys.argv[1], sys.argv[2])
for name, custom_job in json.load(sys.stdin).items():
    print(name, service.create(custom_job).resource)
"""


@pytest.mark.full
def test_every_tier_arrives_as_it_is_printed(world: World) -> None:
    specs = {
        name: text.replace("gs://bucket/", f"gs://{BUCKET}/").replace(
            "/gcs/bucket/", f"/gcs/{BUCKET}/"
        )
        for name, text in specs_of(world.project).items()
        if "executor" not in name
    }
    jobs = {name: json.loads(text) for name, text in specs.items()}
    chief = jobs["BASIC.stock"]["jobSpec"]["workerPoolSpecs"][0]
    with_gap = json.loads(specs["BASIC.stock"])
    with_gap["jobSpec"]["workerPoolSpecs"] = [chief, {}, chief]
    jobs["with a gap"] = with_gap
    done = subprocess.run(
        [sys.executable, "-c", EVERY_TIER, PROJECT, REGION],
        cwd=world.project,
        env=world.variables,
        input=json.dumps(jobs),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    arrived = {job["name"]: job for job in world.jobs}
    for line in done.stdout.splitlines():
        name, _, resource = line.rpartition(" ")
        assert normal(arrived[resource]) == normal(jobs[name]), name
    assert len(arrived) == len(jobs)
