"""What the package reports of features.py, and the prepared data, become findings."""

import json
from pathlib import Path
from typing import Any

import pytest
from launcher.checks.features import feature_findings, stale_findings
from launcher.console import UserError
from launcher.project import Project

from tests.launcher.samples import RATE, job_of, one, study_of, write_files

READ = {"task": "binary", "metric": "auc", "goal": "maximize", "stale": []}
REPORTS_F1 = (
    'from hypertune import HyperTune\nHyperTune().report_hyperparameter_tuning_metric("{}", 1)'
)


def of_study(folder: Path, *, module: str = "trainer.task", **options: Any) -> list[UserError]:
    job = job_of({"module": module}, study=study_of({"learning_rate": RATE}, **options))
    return [*feature_findings(READ, job, Project(folder))]


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"metric": "f1"}, 'write metric = "auc" and goal = "maximize"'),
        ({"metric": "AUC"}, "for TASK = 'binary'"),
        ({"metric": "loss", "goal": "minimize"}, "expected auc, which the trainer reports"),
        ({"goal": "minimize"}, "expected maximize for auc"),
    ],
)
def test_a_metric_that_is_never_reported_is(
    options: dict[str, str], part: str, tmp_path: Path
) -> None:
    assert part in one(of_study(tmp_path, **options))


def test_a_study_has_the_trainer_s_metric_and_one_run_another(tmp_path: Path) -> None:
    assert of_study(tmp_path, metric="", goal="") == []
    job = job_of(study=study_of({"learning_rate": RATE}, metric="loss", goal="minimize"))
    for flags in (["--metric", "f1"], ["--metric=f1"]):
        assert not [*feature_findings(READ, job, Project(tmp_path), flags)]
    assert [*feature_findings(READ, job, Project(tmp_path), ["--metrics", "f1"])]


def test_a_metric_that_the_package_s_own_code_reports_is_not_an_error(tmp_path: Path) -> None:
    assert of_study(tmp_path) == [] == of_study(tmp_path, module="trainer.own", metric="f1")
    write_files(tmp_path, {"trainer/own.py": REPORTS_F1.format("f1")})
    assert of_study(tmp_path, metric="f1") == []
    assert "'f2'" in one(of_study(tmp_path, metric="f2"))


def test_the_trainer_s_error_passes_through(tmp_path: Path) -> None:
    text = "trainer/features.py: TASK is 'x'; expected one of a, b; c; write 'a'"
    known: dict[str, Any] = {"error": text, "known": True}
    assert one([*feature_findings(known, job_of(), Project(tmp_path))]) == text
    unknown = {"error": "TypeError: unhashable type: 'list'", "known": False}
    found = one([*feature_findings(unknown, job_of(), Project(tmp_path))])
    assert "features.py cannot be read (TypeError: unhashable type: 'list'); expected" in found


def test_stale_data_is_reported_with_each_reason(tmp_path: Path) -> None:
    project = Project(tmp_path)
    reasons = ["made from another features.py (a: b, now c)", f"the table {tmp_path}/t has changed"]
    response = {**READ, "stale": [*reasons, "the table t.csv is gone"]}
    assert not [*stale_findings(response, job_of(), project)]  # nothing is prepared
    write_files(tmp_path, {"data/prepared/statistics.json": json.dumps({"fingerprint": "f"})})
    [first, second] = map(str, stale_findings(response, job_of(), project))
    assert first.startswith("data/prepared was made from another features.py (a: b, now c); exp")
    assert second.startswith("data/prepared: the table t has changed; expected")
    assert not [*stale_findings(READ, job_of(), project)]
