"""Faults of the services, and killed commands, while a model is deployed and predicts: one version, one deployment, one job."""

import json
import random
import time

import pytest

from tests.deploying import (
    BATCH,
    ENDPOINT,
    MODEL,
    add_run,
    deploy,
    endpoint,
    models,
    split,
    write_rows,
)
from tests.doubles import faults
from tests.doubles.faults import Fault
from tests.drill import SEED, many
from tests.submitting import World

pytestmark = pytest.mark.minute

KILLS = many(6, 50)
LONGEST_SECONDS = 2.5
OPERATIONS = {
    "versions": ("GET", ":listVersions"),
    "upload": ("POST", "models:upload"),
    "endpoint": ("POST", "/endpoints[?]"),
    "deploy": ("POST", ":deployModel"),
    "split": ("PATCH", "/endpoints/"),
    "predict": ("POST", ":predict"),
    "operation": ("GET", "/operations/"),
    "find the model": ("GET", "/models/[^/:]+$"),
    "find the endpoint": ("GET", "/endpoints/[^/:]+$"),
    "look at the bucket": ("GET", "/storage/v1/b/"),
    "copy to the bucket": ("POST|PUT", "/upload/"),
}
FAULTS = {
    "server error": Fault(status=500, message="Internal error."),
    "unavailable": faults.UNAVAILABLE,
    "busy": Fault(status=429, message="Too many requests."),
    "expired": faults.EXPIRED,
    "denied": faults.DENIED,
    "reset before": faults.RESET_BEFORE,
    "answer lost": faults.ANSWER_LOST,
    "slow answer": Fault(delay=2.0),
    "slow body": Fault(body_delay=2.0),
}
ALL_CASES = [(operation, fault) for operation in OPERATIONS for fault in FAULTS]
CASES = random.Random(SEED).sample(ALL_CASES, many(8, len(ALL_CASES)))


@pytest.mark.parametrize(("operation", "fault"), CASES)
def test_after_any_fault_the_same_command_ends_right(
    trained: World, operation: str, fault: str
) -> None:
    deploy(trained)
    add_run(trained, 2, 0.5)
    trained.cloud.faults.plan(*OPERATIONS[operation], FAULTS[fault])
    for _ in range(3):
        done = trained.tried("deploy", "--run", "2", "--poll-seconds", "0.02")
        if done.returncode == 0:
            break
        assert done.stderr.count("error:") == 1
    assert done.returncode == 0, done.stderr
    assert_deployed_once(trained)


def assert_deployed_once(world: World) -> None:
    assert [each["labels"]["run"] for each in models(world).versions[MODEL]] == ["0001", "0002"]
    assert split(world) == {"0001": 90, "0002": 10}
    assert [*models(world).endpoints] == [ENDPOINT]


@pytest.mark.parametrize("seed", range(KILLS))
def test_killed_at_any_moment_and_run_again_it_ends_right(trained: World, seed: int) -> None:
    deploy(trained)
    add_run(trained, 2, 0.5)
    models(trained).pace = 0.2
    started = trained.start("deploy", "--run", "2", "--poll-seconds", "0.02")
    time.sleep(random.Random(seed).uniform(0.2, LONGEST_SECONDS))
    started.kill()
    started.wait()
    deploy(trained, "--run", "2")
    assert_deployed_once(trained)


BATCH_OPERATIONS = {
    "create the job": ("POST", "/batchPredictionJobs$"),
    "find the job": ("GET", "/batchPredictionJobs[?]"),
    "follow the job": ("GET", "/batchPredictionJobs/[0-9]"),
    "read the results": ("GET", "prediction.results"),
    "copy the rows": ("POST|PUT", "/upload/.*batches"),
}
ALL_BATCH_CASES = [(operation, fault) for operation in BATCH_OPERATIONS for fault in FAULTS]


@pytest.mark.parametrize(
    ("operation", "fault"),
    random.Random(SEED).sample(ALL_BATCH_CASES, many(2, len(ALL_BATCH_CASES))),
)
def test_after_any_fault_the_same_batch_command_ends_right(
    trained: World, operation: str, fault: str
) -> None:
    deploy(trained, "--register-only")
    trained.cloud.faults.plan(*BATCH_OPERATIONS[operation], FAULTS[fault])
    write_rows(trained)
    for _ in range(3):
        done = trained.tried(*BATCH, "--poll-seconds", "0.02")
        if done.returncode == 0:
            break
        assert done.stderr.count("error:") == 1, done.stderr
    assert done.returncode == 0, done.stderr
    assert len(trained.cloud.jobs.batches.jobs) == 1
    assert len((trained.project / "found.jsonl").read_text().splitlines()) == 50


WALK = (
    ("deploy", "--run", "1"),
    ("deploy", "--run", "2"),
    ("deploy", "--promote"),
    ("deploy", "--rollback"),
    BATCH,
    ("deploy", "--undeploy", "all", "--yes"),
)
SPLITS: tuple[dict[str, int], ...] = (
    {"0001": 100},
    {"0001": 90, "0002": 10},
    {"0002": 100},
    {"0001": 100},
    {"0001": 100},
    {},
)


def is_concluded(world: World) -> bool:
    sent = (world.project / "runs" / "cloud").glob("*.json")
    return any(json.loads(path.read_text("utf-8"))["stage"] == "CONCLUDED" for path in sent)


@pytest.mark.parametrize("seed", range(many(1, 9)))
def test_the_whole_walk_killed_in_every_step_ends_right(trained: World, seed: int) -> None:
    choose, world = random.Random(SEED * 1_000 + seed), trained
    add_run(world, 2, 0.5)
    write_rows(world)
    models(world).pace = world.cloud.jobs.batches.pace = 0.2
    for command, expected in zip(WALK, SPLITS, strict=True):
        started = world.start(*command, "--poll-seconds", "0.02")
        time.sleep(choose.uniform(0.2, LONGEST_SECONDS))
        started.kill()
        # A batch job that was concluded just before is not repeated: the same command would send another.
        if started.wait() and not (command == BATCH and is_concluded(world)):
            done = world.tried(*command, "--poll-seconds", "0.02")
            ended = expected == {} and "has no model" in done.stderr
            assert done.returncode == 0 or ended, done.stderr
        assert split(world) == expected
    assert not endpoint(world)["deployedModels"] and [*models(world).endpoints] == [ENDPOINT]
    assert [each["labels"]["run"] for each in models(world).versions[MODEL]] == ["0001", "0002"]
    assert len(world.cloud.jobs.batches.jobs) == 1
    assert len((world.project / "found.jsonl").read_text().splitlines()) == 50
