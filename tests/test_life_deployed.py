"""A model of a baked project deployed: promoted, replaced, rolled back, evaluated, monitored, predicting by a batch job."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bakery import bake
from tests.doubles import Doubles, google_cloud
from tests.doubles.containers import serving_program
from tests.sessions import metrics_of, nox, python_of, ran, settled

QUICKLY = ("--max-steps", "20", "--ensemble", "1")


@pytest.fixture
def project(lived_in: Path, tmp_path: Path) -> Path:
    """A project of two runs with other weights, the first of them evaluated, and the environment of a container."""
    answers = {"gcp_project": "some-project-1", "bucket": "some-bucket-1"}
    project = settled(bake(tmp_path, answers), lived_in)
    for seed in ("1", "2"):
        ran(project, "local_train", *QUICKLY, "--seed", seed)
    ran(project, "evaluate", "--run", "1")
    assert "--port is 99999" in nox(project, "serve", "--port", "99999").stderr
    return project


@pytest.fixture
def cloud(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Doubles]:
    """A cloud whose containers are servers of the project, and to which its sessions are directed."""
    with (
        google_cloud(tmp_path / "root") as cloud,
        serving_program(python_of(project, "serving")) as start,
    ):
        cloud.storage.create_bucket("some-bucket-1", "us-central1")
        cloud.jobs.models.start = start
        for name, value in cloud.variables.items():
            monkeypatch.setenv(name, value)
        yield cloud


@pytest.mark.full
def test_a_model_is_deployed_promoted_replaced_and_rolled_back(
    project: Path, cloud: Doubles
) -> None:
    first, second = (predicted(project, "--run", run) for run in ("1", "2"))
    assert difference(first, second) > 1e-4

    def served() -> list[float]:
        place = "projects/some-project-1/locations/us-central1/endpoints/e-census-income"
        return predicted(project, "--url", f"{cloud.jobs_url}/v1/{place}:predict")

    ran(project, "deploy", "--run", "1", "--poll-seconds", "0.1")
    check_evaluation(cloud, metrics_of(project)["auc"])
    assert difference(served(), first) < 1e-6
    ran(project, "deploy", "--promote")
    assert difference(served(), first) < 1e-6
    ran(project, "deploy", "--run", "2", "--poll-seconds", "0.1")
    assert min(difference(served(), each) for each in (first, second)) < 1e-6
    ran(project, "deploy", "--promote")
    assert difference(served(), second) < 1e-6
    ran(project, "deploy", "--rollback")
    assert difference(served(), first) < 1e-6
    assert difference(batched(project), first) < 1e-6
    check_monitored(project)
    listed = ran(project, "deploy", "--list")
    assert "100 %" in listed and listed.count("e-census-income") == 2
    ran(project, "deploy", "--undeploy", "all", "--yes", "--poll-seconds", "0.1")
    assert "is not deployed" not in ran(project, "deploy", "--list")


def check_evaluation(cloud: Doubles, auc: float) -> None:
    [[evaluation]] = cloud.jobs.models.evaluations.values()
    assert evaluation["metrics"]["auRoc"] == pytest.approx(auc, abs=1e-3)
    rates = evaluation["metrics"]["confidenceMetrics"]
    assert len(rates) >= 9 and rates[0]["recall"] >= rates[-1]["recall"]


def batched(project: Path) -> list[float]:
    """Return the probabilities of the example rows by a batch job."""
    examples, output = project / "data/prepared/examples.jsonl", project / "batched.jsonl"
    source = ("--input", str(examples), "--output", str(output))
    ran(project, "batch", "--run", "1", *source, "--poll-seconds", "0.1")
    return probabilities(output)


def check_monitored(project: Path) -> None:
    done = nox(project, "monitor", "--run", "1", "--input", "data/adult.test.gz", "--json")
    # A model of 20 steps predicts other shares than those of its labels.
    assert done.returncode in (0, 3), done.stderr
    assert json.loads(done.stdout)["drifted"] == []


def predicted(project: Path, *source: str) -> list[float]:
    """Return the probabilities of the example rows, by a model here or by an endpoint."""
    output = project / "predicted.jsonl"
    ran(project, "predict", *source, "--output", str(output))
    return probabilities(output)


def probabilities(path: Path) -> list[float]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["probability"] for line in lines]


def difference(found: list[float], expected: list[float]) -> float:
    return max(abs(one - other) for one, other in zip(found, expected, strict=True))
