"""From job.toml to the CustomJob: every tier and runtime, and how it is printed."""

import dataclasses
import json

import pytest
import yaml
from launcher.commands.image import build_request
from launcher.console import UserError
from launcher.packaging.sdist import packed
from launcher.spec.catalog import offered_tiers
from launcher.spec.custom_job import (
    arguments_of,
    custom_job_of,
    gcloud_file,
    module_of,
    start_command,
    variables_of,
)
from launcher.spec.job_file import Job, Runtime, Scheduling

from tests.launcher.samples import RUN, job_of

EXECUTOR = Runtime("executor", "us-docker.pkg.dev/vertex-ai/training/tf-cpu.2-17.py310:latest")


def on_tier(name: str, runtime: Runtime | None = None) -> Job:
    return job_of({"scale_tier": name}, runtime=runtime or Runtime())


@pytest.mark.parametrize("tier", [name for name, tier in offered_tiers().items() if tier])
def test_every_tier_makes_a_job_whose_first_pool_is_one_replica(tier: str) -> None:
    job = on_tier(tier)
    pools = custom_job_of(job, RUN)["jobSpec"]["workerPoolSpecs"]
    assert pools[0]["replicaCount"] == "1"
    assert len(pools) == len(job.tier())
    for pool, wanted in zip(pools, job.tier().values(), strict=True):
        assert pool["machineSpec"]["machineType"] == wanted.machine
        assert pool["replicaCount"] == str(wanted.replicas)
        assert pool["machineSpec"].get("acceleratorCount", 0) == wanted.accelerator_count
        assert arguments_of(pool)[:2] == ["--data-dir", RUN.data_uri]
        assert arguments_of(pool)[-2:] == ["--max-steps", "7"]
        assert variables_of(pool)["GIT_REVISION"] == "abc"


def test_a_tpu_gets_an_image_of_one_s_own_and_no_accelerator_type() -> None:
    (pool,) = custom_job_of(on_tier("BASIC_TPU"), RUN)["jobSpec"]["workerPoolSpecs"]
    assert pool["machineSpec"] == {"machineType": "ct5lp-hightpu-4t", "tpuTopology": "2x2"}
    assert pool["containerSpec"]["imageUri"].endswith("-tpu:0123456789abcdef")
    assert module_of(pool) == ""


def test_a_stock_image_installs_the_package_from_the_mount() -> None:
    (pool,) = custom_job_of(on_tier("BASIC"), RUN)["jobSpec"]["workerPoolSpecs"]
    shell, option, script, package = pool["containerSpec"]["command"]
    assert (shell, option, package) == ("/bin/sh", "-c", "/gcs/b/n/packages/0123/p.tar.gz")
    assert script.endswith('exec python -m trainer.task "$@"')
    assert module_of(pool) == "trainer.task"


def test_an_executor_image_gets_a_package_spec() -> None:
    (pool,) = custom_job_of(on_tier("BASIC", EXECUTOR), RUN)["jobSpec"]["workerPoolSpecs"]
    assert pool["pythonPackageSpec"]["packageUris"] == [RUN.package_uri]
    assert module_of(pool) == "trainer.task"
    assert "containerSpec" not in pool


def test_scheduling_labels_and_outputs_are_those_of_the_rest_interface() -> None:
    asked = Scheduling(strategy="flex_start", timeout="90m", max_wait="2h", disable_retries=True)
    job = dataclasses.replace(on_tier("L4"), scheduling=asked, labels={"team": "a"})
    custom_job = custom_job_of(job, RUN)
    assert custom_job["labels"] == {"team": "a", "run": "run-1"}
    assert custom_job["jobSpec"]["scheduling"] == {
        "timeout": "5400s",
        "strategy": "FLEX_START",
        "maxWaitDuration": "7200s",
        "disableRetries": True,
    }
    assert custom_job["jobSpec"]["baseOutputDirectory"]["outputUriPrefix"].endswith("/jobs/run-1")


def test_a_reservation_is_named_on_every_machine() -> None:
    job = dataclasses.replace(on_tier("STANDARD_1"), scheduling=Scheduling(reservation="r"))
    for pool in custom_job_of(job, RUN)["jobSpec"]["workerPoolSpecs"]:
        assert pool["machineSpec"]["reservationAffinity"]["values"] == ["r"]


def test_an_unused_pool_between_two_is_empty_and_gcloud_s_file_is_refused() -> None:
    job = on_tier("STANDARD_1")
    chief = job.tier()["chief"]
    tiers = {"STANDARD_1": {"chief": chief, "evaluator": chief}}
    custom_job = custom_job_of(dataclasses.replace(job, tiers=tiers), RUN)
    assert custom_job["jobSpec"]["workerPoolSpecs"][1:3] == [{}, {}]
    with pytest.raises(UserError, match="unused pool"):
        gcloud_file(custom_job, "p", "r")


def test_gcloud_s_file_holds_the_same_job_and_names_its_command() -> None:
    custom_job = custom_job_of(on_tier("STANDARD_1"), RUN)
    text = gcloud_file(custom_job, "some-project", "us-central1")
    command, _, body = text.partition("\n")
    assert command.startswith("# gcloud ai custom-jobs create --project=some-project")
    assert yaml.safe_load(text) == json.loads(body) == custom_job["jobSpec"]


@pytest.mark.parametrize("module", ["trainer.task", "a.b.c"])
def test_the_start_command_is_read_as_it_was_written(module: str) -> None:
    command = start_command(module, "gs://b/n/packages/0123/p-1.tar.gz")
    assert module_of({"containerSpec": {"command": command}}) == module


@pytest.mark.parametrize("command", [[], ["python"], ["/bin/sh", "-c", "exec python", "/gcs/b/p"]])
def test_another_command_starts_no_known_module(command: list[str]) -> None:
    assert module_of({"containerSpec": {"command": command}}) == ""


def test_the_request_for_an_image_names_its_content() -> None:
    job = on_tier("BASIC")
    request = build_request(job, "an/image:1", RUN.image_content)
    source = request["source"]["storageSource"]
    assert source["object"] == f"{job.cloud.name}/images/{RUN.image_content[:16]}.tar.gz"
    assert request["images"] == ["an/image:1"] and "an/image:1" in request["steps"][0]["args"]


def test_equal_files_make_equal_archives_at_any_time(monkeypatch: pytest.MonkeyPatch) -> None:
    before = packed({"a": b"1"})
    monkeypatch.setattr("time.time", lambda: 1.0)
    assert packed({"a": b"1"}) == before
    assert packed({"b": b"1", "a": b"2"}) == packed({"a": b"2", "b": b"1"})
    assert packed({"a": b"1"}) != packed({"a": b"2"}) != packed({"b": b"2"})
