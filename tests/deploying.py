"""Runs, models and rows of a world whose models are deployed, for the tests of deploying."""

import subprocess

from tests.doubles.models import Models
from tests.doubles.server import Json
from tests.submitting import PROJECT, REGION, World

PARENT = f"projects/{PROJECT}/locations/{REGION}"
MODEL, ENDPOINT = f"{PARENT}/models/m-census-income", f"{PARENT}/endpoints/e-census-income"
BATCH = ("batch", "--run", "1", "--input", "rows.csv", "--output", "found.jsonl")


def add_run(world: World, number: int, score: float) -> None:
    folder = world.project / "runs" / f"{number:04d}"
    (folder / "model" / "assets.extra").mkdir(parents=True)
    (folder / "model" / "saved_model.pb").write_text(str(score))
    (folder / "model" / "assets.extra" / "statistics.json").write_text("{}")
    (folder / "config.json").write_text("{}")
    (folder / "metrics.json").write_text("{}")


def models(world: World) -> Models:
    return world.cloud.jobs.models


def endpoint(world: World) -> Json:
    return models(world).endpoints[ENDPOINT]


def split(world: World) -> dict[str, int]:
    """Return the shares of the requests by run."""
    runs = {each["id"]: each["displayName"] for each in endpoint(world)["deployedModels"]}
    return {runs[number]: share for number, share in endpoint(world)["trafficSplit"].items()}


def deploy(world: World, *arguments: str, code: int = 0) -> "subprocess.CompletedProcess[str]":
    return world.run("deploy", *arguments, "--poll-seconds", "0.02", code=code)


def write_rows(world: World, rows: int = 50) -> None:
    ages = "".join(f"{age}\n" for age in range(rows))
    (world.project / "rows.csv").write_text(f"age\n{ages}")


def refusing(_: list[Json]) -> list[Json]:
    raise ValueError("instance 1 is bad")
