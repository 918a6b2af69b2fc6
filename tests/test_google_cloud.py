"""google_cloud.json: its tables agree with each other, with the prompts, and with the rules for its form."""

import json
from pathlib import Path
from typing import Any

import pytest

from cmle_extension.cloud import accelerators, checked_scale_tier, google_cloud

ROOT = Path(__file__).parent.parent
FACT_TABLES = google_cloud()
TIERS: dict[str, dict[str, Any]] = dict(FACT_TABLES["tiers"])
LEGACY_TIERS = ("BASIC", "STANDARD_1", "PREMIUM_1", "BASIC_GPU", "BASIC_TPU", "CUSTOM")


def prompts() -> dict[str, str]:
    template = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
    return dict(template["__prompts__"])


def pools(tier: str) -> list[dict[str, Any]]:
    """Return today's pools of a tier."""
    return list(TIERS[tier]["pools"].values())


def test_every_table_has_a_source_and_a_date() -> None:
    assert set(FACT_TABLES) - {"sources"} == set(FACT_TABLES["sources"])
    for source in FACT_TABLES["sources"].values():
        assert source["source"].startswith("https://")
        assert len(source["date"].split("-")) == 3


def test_regions_are_38_of_the_table_and_4_of_gcloud() -> None:
    regions, extra = FACT_TABLES["regions"], FACT_TABLES["regions_of_gcloud"]
    assert (len(set(regions)), len(set(extra))) == (38, 4)
    assert not set(regions) & set(extra)


def test_accelerators_are_offered_in_known_regions() -> None:
    known = {*FACT_TABLES["regions"], *FACT_TABLES["regions_of_gcloud"]}
    for accelerator, regions in FACT_TABLES["accelerator_regions"].items():
        assert regions and set(regions) <= known, accelerator


def test_every_accelerator_has_machines_and_regions() -> None:
    machines = {
        *FACT_TABLES["gpu_machines"],
        *FACT_TABLES["n1_gpu_counts"],
        *FACT_TABLES["tpu_machines"],
    }
    assert machines == set(FACT_TABLES["accelerator_regions"])


def test_gpus_attach_to_machines_that_exist() -> None:
    for accelerator, counts in FACT_TABLES["n1_gpu_counts"].items():
        assert set(counts) <= set(FACT_TABLES["cpu_machines"]), accelerator


def test_ended_accelerators_are_offered_nowhere() -> None:
    ended = FACT_TABLES["ended_accelerators"]
    assert set(ended) == {"NVIDIA_TESLA_K80", "NVIDIA_TESLA_P100"}
    assert not set(ended) & set(FACT_TABLES["accelerator_regions"])
    assert {fact["instead"] for fact in ended.values()} <= set(FACT_TABLES["accelerator_regions"])


@pytest.mark.parametrize("tier", TIERS)
def test_the_machines_of_a_tier_exist_and_take_its_accelerators(tier: str) -> None:
    tpus = {
        machine: shapes
        for table in FACT_TABLES["tpu_machines"].values()
        for machine, shapes in table.items()
    }
    for pool in pools(tier):
        machine, accelerator, count = (
            pool["machine"],
            pool.get("accelerator"),
            pool.get("accelerator_count"),
        )
        if machine in tpus:
            assert pool["tpu_topology"] in tpus[machine]
        elif accelerator in FACT_TABLES["gpu_machines"]:
            assert FACT_TABLES["gpu_machines"][accelerator][machine] == count
        elif accelerator:
            assert count in FACT_TABLES["n1_gpu_counts"][accelerator][machine]
        else:
            assert machine in FACT_TABLES["cpu_machines"]


@pytest.mark.parametrize("tier", TIERS)
def test_a_tier_runs_in_every_region_of_its_accelerators_and_says_why(tier: str) -> None:
    regions = set(FACT_TABLES["regions"])
    for accelerator in accelerators(TIERS[tier]):
        regions &= set(FACT_TABLES["accelerator_regions"][accelerator])
    assert regions
    for region in regions:
        assert checked_scale_tier(tier, region) == tier
    assert TIERS[tier]["summary"] and TIERS[tier]["reason"]


@pytest.mark.parametrize("tier", TIERS)
def test_the_first_pool_is_one_chief(tier: str) -> None:
    names = list(TIERS[tier]["pools"])
    assert names in ([], ["chief"], ["chief", "worker"])
    assert not names or pools(tier)[0]["replicas"] == 1
    assert (names == []) == (tier == "CUSTOM")


def test_the_tiers_of_cmle_keep_their_names_and_their_replicas() -> None:
    assert [tier for tier in TIERS if TIERS[tier]["legacy"] is not None] == list(LEGACY_TIERS)
    for tier, workers in (("STANDARD_1", 4), ("PREMIUM_1", 19)):
        for shape in ("legacy", "pools"):
            assert TIERS[tier][shape]["worker"]["replicas"] == workers


def test_the_prompt_names_the_tiers_that_exist() -> None:
    words = prompts()["scale_tier"].partition("(")[2].rstrip(")")
    assert sorted(words.replace(" or ", ", ").split(", ")) == sorted(TIERS)


def test_every_visible_prompt_has_a_label_without_brackets() -> None:
    template = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
    assert list(prompts()) == [name for name in template if not name.startswith("_")]
    assert len(prompts()) == 10
    for label in prompts().values():
        assert label and "\n" not in label and "[" not in label
