"""Answers about Google Cloud: project, region, bucket and scale tier, validated against `google_cloud.json`."""

import functools
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .refusal import advice, refusal, shown, spelt_as
from .text import checked_text

CATALOG = (
    Path(__file__).parent.parent
    / "{{cookiecutter.project_slug}}"
    / "launcher"
    / "spec"
    / "google_cloud.json"
)
ZONE_LETTER = re.compile("-[a-z]$")
MOST_SUGGESTED = 5


@functools.lru_cache(maxsize=1)
def google_cloud() -> Mapping[str, Any]:
    """Return the catalog of Google Cloud, which the generated launcher reads too."""
    catalog: Mapping[str, Any] = json.loads(CATALOG.read_text(encoding="utf-8"))
    return catalog


def checked_gcp_project(value: object) -> str:
    project = checked_text(value, "gcp_project")
    rule = google_cloud()["names"]["[job] project"]
    if re.fullmatch(rule["pattern"], project):
        return project
    if project.isdecimal():
        problem = f"{shown(project)} is a project number"
    else:
        problem = f"{shown(project)} is not a project ID"
    raise refusal(
        "gcp_project",
        problem,
        rule["expected"],
        "copy the ID from `gcloud projects list`, or keep your-project-id for now",
    )


def training_regions() -> list[str]:
    return [*google_cloud()["regions"], *google_cloud()["regions_of_gcloud"]]


def checked_region(value: object) -> str:
    regions = training_regions()
    region = spelt_as(checked_text(value, "region"), regions)
    if region in regions:
        return region
    raise refusal(
        "region",
        f"{shown(region)} is not a region that offers training",
        f"one of the {len(regions)} that do",
        advice(ZONE_LETTER.sub("", region), regions, "write us-central1, for example"),
    )


def suggested_bucket(project: str, region: str) -> str:
    """Return a valid bucket name from the project and the region."""
    name = f"{project.rpartition(':')[2]}-{region}"
    return f"training-{region}" if bucket_problem(name) else name


def checked_bucket(value: object) -> str:
    """Return the name of a bucket, which need not exist yet."""
    bucket = checked_text(value, "bucket")
    problem = bucket_problem(bucket)
    if problem:
        raise refusal("bucket", f"{shown(bucket)} {problem[0]}", problem[1], problem[2])
    return bucket


def bucket_problem(name: str) -> tuple[str, str, str] | None:
    """Return what is wrong with a bucket's name, what was expected and how to fix it; None if it is valid."""
    for rule in google_cloud()["bucket_names"]:
        if found := re.search(rule["invalid"], name):
            problem = rule["problem"].format(found=shown(found[0]), length=len(name))
            return problem, rule["expected"], rule["remedy"]
    return None


def checked_scale_tier(value: object, region: str) -> str:
    """Return a scale tier whose machines the region has."""
    tiers = google_cloud()["tiers"]
    tier = spelt_as(checked_text(value, "scale_tier"), tiers)
    if tier not in tiers:
        raise refusal(
            "scale_tier",
            f"{shown(tier)} is not a scale tier",
            f"one of {', '.join(tiers)}",
            advice(tier, tiers, "write BASIC for one CPU machine"),
        )
    for accelerator in accelerators(tiers[tier]):
        offered = google_cloud()["accelerator_regions"][accelerator]
        if region not in offered:
            raise refusal(
                "scale_tier",
                f"{tier} needs {accelerator}, which region {shown(region)} does not offer for training",
                f"a tier for that region, or one of the {len(offered)} regions that offer it",
                f"write BASIC, or region {' or '.join(regions_like(region, offered))}",
            )
    return tier


def accelerators(tier: Mapping[str, Any]) -> Iterable[str]:
    """Return the accelerators that the pools of a tier need, TPUs by their machine."""
    tpus = google_cloud()["tpu_machines"]
    by_machine = {machine: name for name, machines in tpus.items() for machine in machines}
    needed = [
        pool.get("accelerator", by_machine.get(pool["machine"])) for pool in tier["pools"].values()
    ]
    return [accelerator for accelerator in needed if accelerator]


def regions_like(region: str, offered: list[str]) -> list[str]:
    """Return at most five of the regions offered, those on the same continent first."""
    continent = region.partition("-")[0]
    ranked = sorted(offered, key=lambda name: name.partition("-")[0] != continent)
    return ranked[:MOST_SUGGESTED]
