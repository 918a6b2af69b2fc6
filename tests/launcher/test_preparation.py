"""The machine that prepares tables of a size, and its job."""

import dataclasses

import pytest
from launcher.console import UserError
from launcher.spec.catalog import google_cloud
from launcher.spec.custom_job import module_of
from launcher.spec.job_file import Runtime, Scheduling
from launcher.spec.preparation import GB, machine_for, preparation_of, preparing

from tests.launcher.samples import RUN, job_of


@pytest.mark.parametrize(
    ("sizes", "name", "disk_gb", "hours"),
    [
        ({"gs://b/a.csv": 0}, "n2-standard-8", 100, 0.0),
        ({"gs://b/a.csv": 288 * GB}, "n2-standard-8", 676, 0.25),
        ({"gs://b/a.csv": 288 * GB, "gs://b/b.csv": 1}, "n2-standard-16", 677, 0.125),
        ({"gs://b/a.csv.GZ": 125 * GB}, "n2-standard-32", 2100, 0.217),
        ({"gs://b/a.parquet": 1000 * GB}, "n2-standard-80", 16100, 0.694),
    ],
)
def test_the_machine_and_its_disk_follow_from_the_size(
    sizes: dict[str, int], name: str, disk_gb: int, hours: float
) -> None:
    machine = machine_for(sizes)
    assert (machine.name, machine.disk_gb) == (name, disk_gb)
    assert machine.hours == pytest.approx(hours, abs=0.001)
    assert machine.memory_mb == 2048 * int(name.rpartition("-")[2])


def test_more_than_a_disk_holds_is_refused() -> None:
    machine_for({"gs://b/a.csv": 31_950 * GB})
    with pytest.raises(
        UserError, match="31,951 GB of tables need about 64,002 GB of disk; .*bigquery"
    ):
        machine_for({"gs://b/a.csv": 31_951 * GB})


def test_the_machines_are_offered_and_grow() -> None:
    names = google_cloud()["preparation"]["machines"]
    assert set(names) <= set(google_cloud()["cpu_machines"])
    assert sorted(names, key=lambda name: int(name.rpartition("-")[2])) == names


def test_the_job_prepares_whatever_the_machines_that_train() -> None:
    asked = Scheduling(strategy="flex_start", timeout="2h", reservation="r")
    job = dataclasses.replace(
        job_of({"scale_tier": "BASIC_TPU"}),
        runtime=Runtime("image", "an/image:1"),
        scheduling=asked,
        labels={"team": "a"},
    )
    machine = machine_for({"gs://b/a.csv": GB})
    custom_job = preparation_of(preparing(job, machine, "0a"), RUN, machine, ["--x"], ["a==1"])
    assert custom_job["labels"] == {"team": "a", "run": RUN.name, "tables": "0a"}
    scheduling = {"timeout": "7200s", "strategy": "STANDARD"}
    assert custom_job["jobSpec"]["scheduling"] == scheduling
    [pool] = custom_job["jobSpec"]["workerPoolSpecs"]
    assert pool["machineSpec"] == {"machineType": "n2-standard-8"}
    assert pool["diskSpec"]["bootDiskSizeGb"] == 102
    started = pool["containerSpec"]
    assert started["imageUri"] == google_cloud()["stock_images"]["cpu"]["image"]
    assert started["command"][-1] == "/gcs/b/n/packages/0123/p.tar.gz[prepare]"
    assert '"$0" a==1 && exec' in started["command"][2]
    assert started["args"] == ["--memory-mb", "16384", "--x"]
    assert module_of(pool) == "trainer.prepare"
