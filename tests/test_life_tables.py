"""Baked projects of other tables: they train and predict, and reach what is known of public tables."""

from importlib.metadata import distribution
from pathlib import Path

import pytest

from tests.bakery import Answers, bake
from tests.sessions import metrics_of, ran, settled


@pytest.mark.full
@pytest.mark.parametrize(
    "name", ["comma.csv-regression", "tab.tsv.gz-multiclass", "table.parquet-binary"]
)
def test_other_projects_train_and_predict(
    name: str, covered: dict[str, Answers], lived_in: Path, tmp_path: Path
) -> None:
    project = settled(bake(tmp_path, covered[name]), lived_in)
    ran(project, "local_train", "--epochs", "3")
    assert metrics_of(project)["steps"] > 0
    answer = {"regression": "prediction", "multiclass": "probabilities", "binary": "probability"}
    assert f'"{answer[name.rpartition("-")[2]]}"' in ran(project, "predict")


@pytest.mark.full
def test_the_census_sample_reaches_its_auc(lived_in: Path, tmp_path: Path) -> None:
    project = settled(bake(tmp_path, {}), lived_in)
    ran(project, "local_train")
    assert metrics_of(project)["auc"] >= 0.915


REAL = [
    ("palmerpenguins", "palmerpenguins/data/penguins.csv", "species", "accuracy", 0.9),
    ("plotnine", "plotnine/data/diamonds.csv", "price", "rmse", 700.0),
    ("plotnine", "plotnine/data/mpg.csv", "cty", "rmse", 2.5),
]


@pytest.mark.full
@pytest.mark.parametrize(
    ("package", "file_name", "label", "metric", "bound"), REAL, ids=[each[1] for each in REAL]
)
def test_public_tables_beat_their_baseline(
    package: str,
    file_name: str,
    label: str,
    metric: str,
    bound: float,
    lived_in: Path,
    tmp_path: Path,
) -> None:
    path = Path(str(distribution(package).locate_file(file_name)))
    answers = {"project_slug": "real", "data_path": str(path), "label": label}
    project = settled(bake(tmp_path, answers), lived_in)
    ran(project, "local_train")
    metrics = metrics_of(project)
    if metric == "rmse":
        assert metrics[metric] < bound < metrics["baseline"][metric]
    else:
        assert metrics[metric] > bound > metrics["baseline"][metric]
