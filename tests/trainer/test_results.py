"""Numbers that mean nothing are reported: metrics that are none, and results that a constant or a linear model reaches."""

import math
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from recorder import metrics_of_rows
from trainer.data.schema import Schema
from trainer.data.shards import Split, Window
from trainer.data.statistics import Label, Statistics
from trainer.run.console import Console, measure
from trainer.run.errors import UserError
from trainer.run.outputs import outputs_of
from trainer.settings import Settings
from trainer.training.linear import linear_baseline
from trainer.training.metrics import MAIN_METRIC, finite, main_metric, sums_of
from trainer.training.summary import no_better, one_class, overfitting, quality_line, report


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float32("nan")])
def test_a_main_metric_that_is_not_finite_is_an_error(value: float) -> None:
    with pytest.raises(UserError, match="the metric auc is (nan|inf) at step 7; expected a finite"):
        finite({"auc": value, "loss": 1.0}, "auc", 7, pytest.fail)


@pytest.mark.parametrize("value", ["high", None, [0.5], {"a": 1}])
def test_a_metric_that_is_no_number_is_an_error(value: Any) -> None:
    with pytest.raises(UserError, match="the metric note is .* at step 7; expected a number"):
        finite({"auc": 0.5, "note": value}, "auc", 7, pytest.fail)


def test_a_main_metric_that_is_missing_is_an_error() -> None:
    with pytest.raises(UserError, match="the metric auc is missing at step 7"):
        finite({"acc": 0.5}, "auc", 7, pytest.fail)


def test_another_metric_that_is_not_finite_is_left_out_with_a_warning() -> None:
    warnings: list[str] = []
    metrics = {"auc": np.float64(0.5), "precision": float("nan"), "rows": np.int64(3)}
    assert finite(metrics, "auc", 7, warnings.append) == {"auc": 0.5, "rows": 3.0}
    assert warnings == ["the metric precision is nan at step 7, and is left out"]


def test_the_summary_names_the_columns_that_are_not_used(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    done: dict[str, Any] = {"steps": 1, "epochs": 1, "rows_per_second": 1.0, "wall_seconds": 1.0}
    schema: Any = SimpleNamespace(task="binary", numeric=["age"], textual=[])
    statistics: Any = SimpleNamespace(
        rows={"train": 9, "eval": 1}, revealing=(), weight={"column": "w"}
    )
    outputs: Any = SimpleNamespace(model=tmp_path)
    unused = {"row numbers": ["id", "row"], "the same value in every row": ["k"]}
    at = {"threshold": 0.5, "predicted_positive": 0.3, "true_positives": 1204}
    done["threshold"] = {**at, "false_positives": 388, "false_negatives": 1108}
    report(
        {**results(0.9, 0.4), **done}, outputs, statistics, schema, Settings(), Console(), unused
    )
    printed = "".join(capsys.readouterr())
    assert "  not used   id, row: row numbers\n" in printed
    assert "  not used   k: the same value in every row\n" in printed
    assert "  weights    w\n" in printed
    lines = {line.split("  ")[1]: line for line in printed.splitlines() if line.startswith("  ")}
    assert lines["eval auc"].endswith("0.9000")
    assert lines["baselines"].endswith(
        "0.5000 for the most common class, 0.8000 for a linear model"
    )
    assert lines["threshold"].endswith("at 0.5: 1,204 of 2,312 positives found, 388 false alarms")
    del lines["model"]  # as long as the path
    assert max(map(len, lines.values())) <= 80


@pytest.mark.parametrize(
    ("chosen", "line"),
    [
        (
            Settings(quality="fast"),
            "fast, 20 s of training; about 2 min 18 s with --quality default",
        ),
        (
            Settings(quality="fast", epochs=7),
            "fast, 20 s of training; about 45 s with --quality default",
        ),
        (Settings(), "default, 20 s of training; about 2 min 09 s with --quality best"),
        (Settings(quality="best"), "best, 20 s of training"),
    ],
)
def test_the_summary_says_how_long_the_next_quality_would_take(chosen: Settings, line: str) -> None:
    # 30,000 rows are 20 epochs of one member, or 61 of four.
    metrics = {"epochs": 20, "steps": 2_344, "rows_per_second": 30_000.0}
    assert quality_line(chosen, metrics, 30_000, "regression") == line


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.70449, "0.7045"), (0.0, "0.0000"), (-985.339, "-985.3390"), (2.0392e9, "2,039,200,000"), (1.2346e-5, "1.235e-05"), (-4.87137e18, "-4.871e+18")],
)  # fmt: skip
def test_a_measure_is_read_in_any_unit_of_the_label(value: float, text: str) -> None:
    assert measure(value) == text
    found = {**results(value, 1.0), "baseline": {"auc": math.inf, "loss": 1.0}}
    assert f"auc {text} is no better than" in next(no_better(found, "auc"))


@pytest.mark.parametrize("limit", [{"max_steps": 60}, {"max_minutes": 0.1}])
def test_a_run_that_was_cut_short_forecasts_nothing(limit: dict[str, Any]) -> None:
    metrics = {"epochs": 0, "steps": 60, "rows_per_second": 5_120.0}
    line = quality_line(Settings(quality="fast", **limit), metrics, 30_000, "regression")
    assert line == "fast, 3 s of training"


def results(auc: float, loss: float) -> dict[str, Any]:
    constant = {"auc": 0.5, "accuracy": 0.7, "loss": 0.6}
    linear = {"auc": 0.8, "accuracy": 0.8, "loss": 0.45}
    return {
        "split": "eval",
        "auc": auc,
        "loss": loss,
        "baseline": constant,
        "linear_baseline": linear,
    }


@pytest.mark.parametrize(
    ("auc", "loss", "message"),
    [
        (0.5, 0.6, "eval auc 0.5000 is no better than 0.5000, which predicting the same"),
        (0.4, 0.5, "eval auc 0.4000 is no better than 0.5000"),
        (0.9, 0.7, "eval loss 0.7000 is no better than 0.6000, which"),
        (0.75, 0.5, "eval auc 0.7500 is no better than 0.8000 of a linear model"),
        (0.85, 0.4, ""),
        (0.8, 0.4, ""),
    ],
)
def test_a_result_that_a_simpler_model_reaches_is_reported(
    auc: float, loss: float, message: str
) -> None:
    found = list(no_better(results(auc, loss), "auc"))
    assert len(found) == bool(message) and all(message in each for each in found)


@pytest.mark.parametrize(
    ("aucs", "error", "message"),
    [
        ([0.8, 0.9, 0.84], 0.05, "auc went from 0.9000 after epoch 2 to 0.8400 (earlier weights"),
        ([0.8, 0.9, 0.84], 0.07, ""),
        ([0.8, 0.84, 0.9], 0.01, ""),
        ([], 0.0, ""),
    ],
)
def test_an_end_that_is_worse_than_the_best_evaluation_is_reported(
    aucs: list[float], error: float, message: str
) -> None:
    history = [{"epoch": n, "auc": auc} for n, auc in enumerate(aucs, 1)]
    known = [{**each, "standard_error": error} for each in history]
    found = [*overfitting({"history": known}, "auc")]
    assert len(found) == bool(message) and all(message in each for each in found)
    assert not [*overfitting({"history": history}, "auc")]
    losses = [{**each, "rmse": -each["auc"]} for each in known]
    assert len([*overfitting({"history": losses}, "rmse")]) == len(found)


@pytest.mark.parametrize(
    ("true", "false", "missed", "message"),
    [
        (0, 1, 200, "99.9% of the predictions are negative, but 80.0% of the rows; try another"),
        (200, 795, 0, "99.5% of the predictions are positive, but 20.0% of the rows; try another"),
        (0, 1, 5, ""),  # as nearly all rows are
        (100, 50, 100, ""),
    ],
)
def test_predictions_of_one_class_are_reported(
    true: int, false: int, missed: int, message: str
) -> None:
    counts = {"true_positives": true, "false_positives": false, "false_negatives": missed}
    threshold = {**counts, "predicted_positive": (true + false) / 1_000}
    found = [*one_class(threshold, 1_000)]
    assert len(found) == bool(message) and all(message in each for each in found)
    assert not [*one_class(None, 1_000)]


def test_the_linear_model_takes_milliseconds_and_any_task(
    prepared: Path, schema: Schema, statistics: Statistics
) -> None:
    train, test = (Split(prepared / name, schema, 64) for name in ("train", "test"))
    started = time.process_time()
    metrics = linear_baseline(schema.task, statistics.label, train, test)
    assert time.process_time() - started < 1
    assert MAIN_METRIC[schema.task] in metrics and np.isfinite([*metrics.values()]).all()


class Rows(Split):
    """A split in memory: three numbers, and a code that decides where they do not."""

    def __init__(self, seed: int, classes: int) -> None:
        random = np.random.default_rng(seed)
        numbers = random.normal(size=(2_000, 3)).astype(np.float32)
        codes = random.integers(0, 5, (2_000, 1)).astype(np.int32)
        labels = (numbers @ [2.0, -1.0, 0.5] + 3).astype(np.float32)
        self.schema: Any = SimpleNamespace(coded=["code"])
        self.window = Window(numbers, codes, codes[:, 0] % classes if classes else labels)

    def first_rows(self, rows: int) -> Window:
        return self.window


@pytest.mark.parametrize(
    ("task_name", "classes", "least"), [("binary", 2, "auc"), ("multiclass", 3, "accuracy")]
)
def test_the_linear_model_learns_from_codes(task_name: str, classes: int, least: str) -> None:
    label = Label(tuple("abc"[:classes]), (1,) * classes, 0.0, 1.0)
    assert linear_baseline(task_name, label, Rows(1, classes), Rows(2, classes))[least] > 0.99


def test_many_columns_and_classes_have_no_linear_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("trainer.training.linear.MOST_PRODUCTS", 4 * 4 * 2 * 10_000)
    label = Label(tuple("abc"), (1,) * 3, 0.0, 1.0)
    assert linear_baseline("multiclass", label, Rows(1, 3), Rows(2, 3)) == {}
    assert linear_baseline("binary", label, Rows(1, 2), Rows(2, 2)) != {}


def test_the_linear_model_of_a_linear_label_is_exact() -> None:
    label = Label((), (), 3.0, 2.29)
    assert linear_baseline("regression", label, Rows(1, 0), Rows(2, 0))["rmse"] < 0.01


@pytest.mark.parametrize("codes", [[1], [0, 0, 0], [1] * 50])
def test_the_auc_of_one_class_is_undefined(codes: list[int]) -> None:
    likely = np.random.default_rng(1).random(len(codes))
    metrics = metrics_of_rows("binary", np.stack([1 - likely, likely], axis=1), np.array(codes))
    sums = sums_of("binary", np.stack([1 - likely, likely], axis=1), np.array(codes))
    assert "auc" not in metrics and main_metric("auc", sums) == "loss"
    assert finite(metrics, "loss", 7, pytest.fail) == metrics


def resampled_error(task: str, outputs: Any, labels: Any, name: str) -> float:
    """Return the standard deviation of a metric over bootstrap samples of the rows."""
    random = np.random.default_rng(3)
    chosen = [random.integers(0, len(labels), len(labels)) for _ in range(300)]
    return float(
        np.std([metrics_of_rows(task, outputs[rows], labels[rows])[name] for rows in chosen])
    )


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_the_standard_error_is_that_of_other_samples(task: str) -> None:
    random = np.random.default_rng(2)
    labels = random.integers(0, 2, 400)
    scores = labels + random.normal(size=400) ** 3
    likely = 1 / (1 + np.exp(-scores))
    outputs = np.stack([1 - likely, likely], axis=1) if task != "regression" else scores[:, None]
    error = metrics_of_rows(task, outputs, labels)["standard_error"]
    expected = resampled_error(task, outputs, labels, MAIN_METRIC[task])
    assert 0.6 * expected < error < 1.6 * expected


@pytest.mark.parametrize(
    ("found", "line"),
    [
        ({"auc": 0.9, "standard_error": 0.0417}, "0.9000 ± 0.0417"),
        ({}, "warning: test auc is undefined: all rows of the split have one label"),
    ],
)
def test_the_summary_shows_how_sure_a_result_is(
    found: dict[str, float],
    line: str,
    schema: Schema,
    statistics: Statistics,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    constant = {"loss": 0.6, "auc": 0.5} if found else {"loss": 0.6}
    totals = {"steps": 1, "epochs": 1, "rows_per_second": 1.0, "wall_seconds": 1.0}
    metrics = {**totals, **found, "loss": 0.4, "split": "test", "baseline": constant}
    binary = replace(schema, task="binary")
    revealing = replace(statistics, revealing=("'x' alone gives the class",))
    report(metrics, outputs_of(str(tmp_path), {}), revealing, binary, Settings(), Console(), {})
    printed = capsys.readouterr().err
    assert line in printed and "warning: 'x' alone gives the class\n" in printed
