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
PROJECT_ID = re.compile(r"([a-z0-9][a-z0-9.-]*[.][a-z]{2,}:)?[a-z][a-z0-9-]{4,28}[a-z0-9]")
ZONE_LETTER = re.compile("-[a-z]$")
MOST_SUGGESTED = 5


@functools.lru_cache(maxsize=1)
def google_cloud() -> Mapping[str, Any]:
    """Return the catalog of Google Cloud, which the generated launcher reads too."""
    catalog: Mapping[str, Any] = json.loads(CATALOG.read_text(encoding="utf-8"))
    return catalog


def checked_gcp_project(value: object) -> str:
    project = checked_text(value, "gcp_project")
    if PROJECT_ID.fullmatch(project):
        return project
    if project.isdecimal():
        problem = f"{shown(project)} is a project number"
    else:
        problem = f"{shown(project)} is not a project ID"
    raise refusal(
        "gcp_project",
        problem,
        "6 to 30 lower-case letters, digits or hyphens, a letter first, no hyphen last",
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
    rules = google_cloud()["bucket_names"]
    longest = rules["maximum_length_with_dots" if "." in name else "maximum_length"]
    if name.lower().startswith("gs://"):
        return "is a URI", "the bucket's name alone", "remove gs:// and everything after the name"
    if not rules["minimum_length"] <= len(name) <= longest:
        length = f"{rules['minimum_length']} to {longest} characters"
        return f"has {len(name)} characters", length, "shorten or lengthen it"
    if not re.fullmatch(rules["pattern"], name):
        characters = "lower-case letters, digits, - _ and ., a letter or digit at both ends"
        return "has a character that bucket names cannot have there", characters, "replace it"
    return bucket_part_problem(name, rules)


def bucket_part_problem(name: str, rules: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """Return what is wrong with a part of a name whose length and characters are valid."""
    component = rules["maximum_component_length"]
    if re.fullmatch(rules["ip_address_pattern"], name):
        return "looks like an IP address", "a name", "use letters, such as my-project-training"
    if any(len(part) > component for part in name.split(".")):
        return "has a part that is too long", f"at most {component} between dots", "shorten it"
    for sequence in rules["forbidden_sequences"]:
        if sequence in name:
            return (
                f"contains {shown(sequence)}",
                "no dot next to a dot or hyphen",
                "keep one of them",
            )
    for prefix in rules["forbidden_prefixes"]:
        if name.startswith(prefix):
            return (
                f"starts with {shown(prefix)}",
                "a name of your own",
                f"do not start with {prefix}",
            )
    for word in rules["forbidden_words"]:
        if word in name:
            return f"contains {shown(word)}", "a name without the word google", "remove the word"
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
