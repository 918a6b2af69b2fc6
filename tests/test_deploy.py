"""Deploying from a baked project to the doubles: one version, one deployment, and requests that go where they should."""

import datetime
import json
import re
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.deploying import (
    ENDPOINT,
    MODEL,
    PARENT,
    add_run,
    deploy,
    endpoint,
    models,
    refusing,
    split,
)
from tests.doubles.models import Container
from tests.doubles.server import Json
from tests.submitting import BUCKET, World

pytestmark = pytest.mark.minute


def test_a_model_goes_from_its_first_requests_to_all_and_back(trained: World) -> None:
    done = deploy(trained)
    assert split(trained) == {"0001": 100}
    assert "bills until undeployed" in done.stderr and "100 %" in done.stdout
    [version] = models(trained).versions[MODEL]
    assert version["labels"]["run"] == "0001" and version["versionAliases"] == ["default"]
    add_run(trained, 2, 0.5)
    deploy(trained, "--run", "2", "--traffic", "20")
    assert split(trained) == {"0001": 80, "0002": 20}
    versions = models(trained).versions[MODEL]
    assert [each["versionAliases"] for each in versions] == [["default"], []]
    deploy(trained, "--promote")
    assert split(trained) == {"0002": 100}
    assert [each["versionAliases"] for each in versions] == [[], ["default"]]
    deploy(trained, "--rollback")
    assert split(trained) == {"0001": 100} and versions[0]["versionAliases"] == ["default"]
    listed = deploy(trained, "--list").stdout
    assert listed.count("e-census-income") == 2 and "e2-standard-4" in listed


def test_the_list_has_the_age_and_warns_of_what_has_expired(trained: World) -> None:
    deploy(trained)
    [served] = endpoint(trained)["deployedModels"]
    served["createTime"] = "2020-01-01T00:00:00Z"
    days = (datetime.datetime.now(datetime.timezone.utc).date() - datetime.date(2020, 1, 1)).days
    endpoint(trained)["labels"] = {"expires": "2999-12-31"}
    done = deploy(trained, "--list")
    assert f" {days}\n" in done.stdout.replace(" \n", "\n") and "expired" not in done.stderr
    endpoint(trained)["labels"] = {"expires": "2020-01-31"}
    assert (
        "e-census-income has expired on 2020-01-31, and bills" in deploy(trained, "--list").stderr
    )
    endpoint(trained)["labels"] = {}
    # One without a model bills nothing, wherever it stands in the list: the newest is the first.
    name = f"{PARENT}/endpoints/e-other"
    other = {name: {"name": name, "labels": {"expires": "2020-01-31"}}}
    models(trained).endpoints = {**other, **models(trained).endpoints}
    assert "expired" not in deploy(trained, "--list").stderr


def test_the_check_finds_what_a_deployment_lacks(trained: World) -> None:
    (trained.project / "data" / "prepared" / "examples.jsonl").unlink()
    shutil.rmtree(trained.project / "runs" / "0001" / "model")
    job = trained.project / "job.toml"
    text = job.read_text(encoding="utf-8").replace("[labels]\n", '[labels]\ngoog-x = "1"\n')
    job.write_text(text.replace("batch_size = 1024", "batch_size = 0"), encoding="utf-8")
    said = trained.run("check", "--serving", code=2).stderr
    assert len(re.findall("^error: ", said, re.MULTILINE)) == 4
    for part in ("examples.jsonl does not exist", "goog-x", "batch_size is 0", "with a model"):
        assert part in said, said


def test_deploying_again_changes_nothing(trained: World) -> None:
    deploy(trained)
    before = json.dumps([models(trained).versions, models(trained).endpoints])
    deploy(trained)
    assert json.dumps([models(trained).versions, models(trained).endpoints]) == before


def test_a_model_that_predicts_otherwise_gives_its_requests_back(trained: World) -> None:
    deploy(trained)
    add_run(trained, 2, 0.5)
    models(trained).start = lambda *_: wrong
    done = deploy(trained, "--run", "2", code=1)
    assert "predicts 0.75 for known row 1, not 0.5" in done.stderr
    number = endpoint(trained)["deployedModels"][1]["id"]
    assert f"its requests are given back, it still bills: nox -s deploy -- --undeploy {number}" in (
        " ".join(done.stderr.split())
    )
    assert split(trained) == {"0001": 100}
    models(trained).start = lambda *_: refusing
    add_run(trained, 3, 0.75)
    done = deploy(trained, "--run", "3", code=1)
    assert "refuses known rows" in done.stderr and "instance 1 is bad" in done.stderr
    assert split(trained) == {"0001": 100}


def never_ready(*_: object) -> Container:
    raise ValueError("Op type not registered")


def wrong(instances: list[Json]) -> list[Json]:
    return [{"probability": 0.75} for _ in instances]


def test_a_model_that_never_becomes_ready_is_one_line(trained: World) -> None:
    models(trained).start = never_ready
    done = deploy(trained, code=2)
    assert "the model is not deployed: Model server never became ready" in done.stderr
    assert not endpoint(trained)["deployedModels"]


def test_evaluations_are_attached_once(trained: World) -> None:
    folder = trained.project / "runs" / "0001" / "evaluation"
    folder.mkdir()
    metrics = {"auc": {"value": 0.9}, "log_loss": {"value": None}, "f1": {"value": 0.5}}
    at = {"threshold": 0.5, "precision": None, "recall": 0.25, "f1": 0.4}
    at |= {"true_positives": 1, "false_positives": 2, "false_negatives": 3}
    thresholds = {"model": at, "0.5": at, "0.1": {**at, "threshold": 0.1}}
    document = {"task": "binary", "metrics": metrics, "rows": 10, "thresholds": thresholds}
    (folder / "evaluation.json").write_text(json.dumps(document))
    for _ in range(2):
        assert deploy(trained, "--register-only").stdout.strip() == f"{MODEL}@1"
    [evaluation] = models(trained).evaluations[f"{MODEL}@1"]
    rows = evaluation["metrics"].pop("confidenceMetrics")
    assert evaluation["metrics"] == {"auRoc": 0.9}
    assert [each["confidenceThreshold"] for each in rows] == [0.1, 0.5]
    assert (rows[0]["falsePositiveRate"], rows[0]["trueNegativeCount"]) == (2 / 6, 4)
    assert "precision" not in rows[0] and rows[0]["f1Score"] == 0.4
    assert not models(trained).endpoints


def test_undeploying_is_named_and_confirmed(trained: World) -> None:
    deploy(trained)
    add_run(trained, 2, 0.5)
    deploy(trained, "--run", "2")
    first, second = (each["id"] for each in endpoint(trained)["deployedModels"])
    assert "not confirmed; expected --yes" in deploy(trained, "--undeploy", "all", code=2).stderr
    assert "gets 90 % of the requests" in deploy(trained, "--undeploy", first, code=2).stderr
    assert "7 is not deployed" in deploy(trained, "--undeploy", "7", code=2).stderr
    deploy(trained, "--promote")
    deploy(trained, "--undeploy", first, "--yes")
    assert [each["id"] for each in endpoint(trained)["deployedModels"]] == [second]
    assert "an earlier one" in deploy(trained, "--rollback", code=2).stderr
    deploy(trained, "--undeploy", "all", "--yes")
    assert not endpoint(trained)["deployedModels"]
    assert "has no model" in deploy(trained, "--promote", code=2).stderr


def test_undeploying_all_ends_models_that_share_the_requests(trained: World) -> None:
    deploy(trained)
    add_run(trained, 2, 0.5)
    deploy(trained, "--run", "2")
    deploy(trained, "--undeploy", "all", "--yes")
    assert not endpoint(trained)["deployedModels"]


def test_of_three_deployed_models_the_one_that_is_meant_gets_the_requests(trained: World) -> None:
    deploy(trained)
    for number in (2, 3):
        add_run(trained, number, number / 4)
        deploy(trained, "--run", str(number))
        if number == 2:
            deploy(trained, "--rollback")
            assert split(trained) == {"0001": 100}
    assert split(trained) == {"0001": 90, "0003": 10}
    deploy(trained, "--rollback")
    assert split(trained) == {"0001": 100}
    deploy(trained, "--run", "2", "--traffic", "60")
    deploy(trained, "--promote")
    assert split(trained) == {"0002": 100}
    deploy(trained, "--run", "3")
    deploy(trained, "--promote")
    assert "2 earlier models; expected" in deploy(trained, "--rollback", code=2).stderr
    assert split(trained) == {"0003": 100}
    deploy(trained, "--run", "2", "--traffic", "100")
    assert split(trained) == {"0002": 100}


def test_a_share_that_is_asked_for_replaces_the_earlier_one(trained: World) -> None:
    deploy(trained)
    add_run(trained, 2, 0.5)
    deploy(trained, "--run", "2")
    deploy(trained, "--run", "2", "--traffic", "50")
    assert split(trained) == {"0001": 50, "0002": 50}
    assert "traffic is 0" in deploy(trained, "--traffic", "0", code=2).stderr
    # The requests that a command which was killed has left with it are taken back, too.
    models(trained).containers[ENDPOINT, endpoint(trained)["deployedModels"][1]["id"]] = wrong
    assert "predicts 0.75" in deploy(trained, "--run", "2", code=1).stderr
    assert split(trained) == {"0001": 100}


def test_an_earlier_model_that_refuses_the_known_rows_does_not_count(trained: World) -> None:
    deploy(trained)
    models(trained).containers[ENDPOINT, endpoint(trained)["deployedModels"][0]["id"]] = refusing
    add_run(trained, 2, 0.5)
    deploy(trained, "--run", "2")
    assert split(trained) == {"0001": 90, "0002": 10}


def test_an_upload_that_is_killed_twice_makes_one_version(trained: World) -> None:
    models(trained).pace = 4.0
    for signal_number in (signal.SIGKILL, signal.SIGINT):
        started = trained.start("deploy", "--register-only", "--poll-seconds", "0.02")
        deadline = time.monotonic() + 60
        while not any('"operation"' in each.read_text() for each in markers(trained)):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(1)
        started.send_signal(signal_number)
        started.wait()
        assert markers(trained)
    deploy(trained, "--register-only")
    assert len(models(trained).versions[MODEL]) == 1 and not markers(trained)


def markers(world: World) -> list[Path]:
    return [*world.project.rglob("uploads/*.json")]


def test_an_upload_whose_operation_is_gone_is_begun_again(trained: World) -> None:
    models(trained).pace = 30.0
    started = trained.start("deploy", "--register-only", "--poll-seconds", "0.02")
    while not any('"operation"' in each.read_text() for each in markers(trained)):
        time.sleep(0.05)
    started.kill()
    started.wait()
    [marker] = markers(trained)
    marker.write_text(json.dumps({"operation": f"{MODEL}/operations/777"}))
    models(trained).pace = 0.0
    assert deploy(trained, "--register-only").stdout.strip() == f"{MODEL}@1"


def test_what_no_upload_takes_is_refused_before_it(trained: World) -> None:
    assert "holds no model" in deploy(trained, "--model", "nowhere", code=2).stderr
    job = trained.project / "job.toml"
    text = job.read_text()
    job.write_text(text.replace("[labels]\n", '[labels]\nTeam = "A"\n'))
    assert "[labels] 'Team' = 'A'; expected at most" in deploy(trained, code=2).stderr
    job.write_text(text.replace("[labels]\n", '[labels]\ngoog-team = "a"\n'))
    assert "[labels] has 'goog-team'; expected a label of" in deploy(trained, code=2).stderr
    job.write_text(text)
    nowhere = deploy(trained, "--region", "us-central1-a", code=2).stderr
    assert "no training in the region 'us-central1-a'" in nowhere
    assert not trained.cloud.faults.log
    [bucket] = trained.cloud.storage.buckets.values()
    bucket["location"] = "EUROPE-WEST4"
    refused = deploy(trained, "--register-only", code=2).stderr
    assert "is in europe-west4 but the job runs in" in refused
    assert not any(each.method == "POST" for each in trained.cloud.faults.log)


def test_only_predictions_go_to_the_address_of_a_dedicated_endpoint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from launcher.executors.vertex.models import ModelService
    from launcher.executors.vertex.services import Rest

    asked = []

    def call(self: Rest, method: str, path: str, **_: object) -> Json:
        asked.append((method, self.endpoint))
        return {}

    monkeypatch.setattr(Rest, "__init__", lambda self, *_: setattr(self, "endpoint", "https://api"))
    monkeypatch.setattr(Rest, "call", call)
    service = ModelService("p", "r", 0.1)
    service.predict({"name": "e", "dedicatedEndpointDns": "own"}, [])
    service.set_split("e", {})
    assert asked == [("POST", "https://own"), ("PATCH", "https://api")]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ('machine = "n4-standard-4"', "machine is 'n4-standard-4'; expected a machine for pred"),
        ("min_replicas = 0", "min_replicas is 0; expected at least 1"),
        ("max_replicas = 0", "max_replicas is 0, min_replicas 1"),
        ("batch_replicas = 0", "batch_replicas is 0; expected at least 1"),
        ("batch_size = 0", "batch_size is 0; expected at least 1"),
        ("traffic = 101", "traffic is 101; expected 1 to 100 percent"),
        ('image = "docker.io/tensorflow/serving"', "expected an image in the job's region"),
        ("replicas = 3", "unknown key 'replicas'"),
    ],
)
def test_what_would_fail_after_the_upload_is_refused_before(
    trained: World, setting: str, message: str
) -> None:
    job = trained.project / "job.toml"
    text, name = job.read_text(encoding="utf-8"), setting.partition(" ")[0]
    before, section, after = text.partition("[serving]\n")
    after = re.sub(f"(?m)^{name} =.*\n", "", after, count=1)
    job.write_text(f"{before}{section}{setting}\n{after}", encoding="utf-8")
    assert message in deploy(trained, code=2).stderr
    assert not trained.cloud.faults.log


def test_what_the_services_agent_may_not_read_leaves_nothing_behind(trained: World) -> None:
    models(trained).unreadable.add(BUCKET)
    refused = deploy(trained, code=2).stderr
    assert "service-1@gcp-sa-aiplatform.iam.gserviceaccount.com" in refused
    assert not markers(trained)
    models(trained).unreadable.clear()
    deploy(trained)
    assert len(models(trained).versions[MODEL]) == 1 and split(trained) == {"0001": 100}


def test_requests_that_follow_each_other_too_fast_are_sent_again(trained: World) -> None:
    models(trained).seconds_apart = 2.0
    deploy(trained)
    assert split(trained) == {"0001": 100}
    refused = [each for each in trained.cloud.faults.log if each.status == 429]
    assert [each.path.rpartition(":")[2] for each in refused] == ["deployModel"]


def test_machines_beyond_the_quota_are_one_line(trained: World) -> None:
    models(trained).most_cores = 2
    refused = deploy(trained, code=2).stderr
    assert "the model is not deployed: The following quota metrics" in " ".join(refused.split())
    assert "; expected a quota that allows the job" in refused
    assert not endpoint(trained)["deployedModels"]


def test_a_dry_run_prints_every_request_and_what_bills_and_sends_none(trained: World) -> None:
    done = deploy(trained, "--dry-run")
    assert "1 to 1 x e2-standard-4, bills until undeployed" in done.stderr
    printed = json.loads(done.stdout)
    assert [*printed] == ["models:upload", "endpoints?endpointId=e-census-income", "deployModel"]
    assert not trained.cloud.faults.log
