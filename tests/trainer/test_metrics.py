"""Metrics: their values, what is better, the one that chooses the best evaluation, and functions of the user's own."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as sklearn
from recorder import metrics_of_rows
from trainer import arguments, features, task
from trainer.evaluation.measures import Scored, measured
from trainer.run.errors import EXIT_FAILED, EXIT_USER_ERROR, UserError, exit_code
from trainer.run.outputs import read_json
from trainer.settings import METRICS, TAKEN, Settings, metrics_for
from trainer.training.metrics import (
    BINS,
    MAIN_METRIC,
    bins_of,
    is_better,
    main_metric,
    metrics_of,
    own_values,
    sums_of,
)


def rows_of(kind: str, seed: int = 5) -> tuple[Any, Any]:
    """Return outputs with many ties, and labels, of 300 rows."""
    random = np.random.default_rng(seed)
    if kind == "regression":
        labels = random.normal(size=300)
        return (labels + random.normal(size=300))[:, None], labels
    count = 2 if kind == "binary" else 4
    outputs = random.integers(1, 6, (300, count)).astype(np.float64)
    # No row is of the last of several classes.
    return outputs / outputs.sum(axis=1, keepdims=True), random.integers(0, min(count, 3), 300)


@pytest.mark.parametrize("kind", METRICS)
def test_a_metric_is_what_scikit_learn_computes(kind: str) -> None:
    outputs, labels = rows_of(kind)
    found = metrics_of_rows(kind, outputs, labels)
    predictions = outputs[:, 0] if kind == "regression" else outputs
    expected = measured(Scored(kind, labels, predictions, np.ones(300)))
    for name in metrics_for(kind):
        assert found[name] == pytest.approx(expected[name]), name


@pytest.mark.parametrize("kind", METRICS)
def test_sums_of_parts_give_the_metrics_of_all_rows(kind: str) -> None:
    outputs, labels = rows_of(kind)
    weights = np.random.default_rng(1).uniform(0.5, 2, 300)
    by_class = None if kind == "regression" else np.array([0.5, 1.0, 2.0, 4.0])[: outputs.shape[1]]
    parts: dict[str, Any] = {}
    for rows in (slice(0, 7), slice(7, 7), slice(7, 300)):
        sums = sums_of(kind, outputs[rows], labels[rows], by_class, weights[rows], 0.1)
        parts = {name: each + parts.get(name, 0.0) for name, each in sums.items()}
    expected = metrics_of_rows(kind, outputs, labels, "", by_class, weights)
    assert metrics_of(kind, parts, "", by_class) == pytest.approx(expected, rel=1e-12)
    assert {"loss", MAIN_METRIC[kind]} <= expected.keys()


# Of the last, half of the scores are so near to 0 or 1 that float32, or the bins, cannot tell them apart.
@pytest.mark.parametrize(("steepness", "most"), [(0.3, 1e-4), (2.0, 1e-4), (30.0, 0.1)])
def test_the_areas_under_curves_are_within_the_stated_bounds(steepness: float, most: float) -> None:
    random = np.random.default_rng(4)
    labels = (random.random(200_000) < 0.1).astype(int)
    logits = steepness * (random.normal(size=len(labels)) + labels - 1)
    scores = (1 / (1 + np.exp(-logits))).astype(np.float32).astype(np.float64)
    found = metrics_of_rows("binary", np.stack([1 - scores, scores], axis=1), labels)
    bins, sizes = bins_of(scores), np.bincount(labels)
    hits, others = (np.bincount(bins[labels == each], minlength=BINS) for each in (1, 0))
    bound = (hits * others).sum() / 2 / sizes.prod()
    assert 0 < abs(found["auc"] - sklearn.roc_auc_score(labels, scores)) <= bound < most
    # Of all orders of the rows of a bin, positive rows first and last are the extremes.
    above, rows = (np.append(0, each[::-1].cumsum()[:-1]) for each in (hits, hits + others))
    own, false = hits[::-1], others[::-1]
    first = (above + own) / np.maximum(rows + own, 1)
    last = np.where(rows + false, above / np.maximum(rows + false, 1), 1.0)
    middle = (above + own) / np.maximum(rows + own + false, 1)
    bound = (own * np.maximum(first - middle, middle - last)).sum() / sizes[1]
    exact = sklearn.average_precision_score(labels, scores)
    assert 0 < abs(found["pr_auc"] - exact) <= bound and abs(found["pr_auc"] - exact) < most


def test_bins_are_in_the_order_of_scores_and_as_narrow_as_stated() -> None:
    ends = 10.0 ** -np.arange(0.31, 9, 0.00005)
    scores = np.sort(np.concatenate([[0, 0.5, 1], ends, 1 - ends])).astype(np.float32)
    bins = bins_of(scores.astype(np.float64))
    assert (np.diff(bins) >= 0).all() and 0 <= bins[0] < bins[-1] < BINS
    together = np.diff(bins) == 0
    low, high = scores[:-1][together].astype(np.float64), scores[1:][together].astype(np.float64)
    nearest = np.minimum(np.minimum(low, high), 1 - np.maximum(low, high))
    assert together.any() and (high - low <= np.maximum(nearest / 8_192, 2.0**-32)).all()


@pytest.mark.parametrize("likely", [1e-9, 1e-20, 0.0])
def test_a_confident_error_costs_as_much_as_in_an_evaluation(likely: float) -> None:
    outputs = np.array([[1 - likely, likely], [0.5, 0.5]])
    found, labels = metrics_of_rows("binary", outputs, np.array([1, 0])), [1, 0]
    assert found["log_loss"] == pytest.approx(sklearn.log_loss(labels, outputs))


@pytest.mark.parametrize("kind", METRICS)
def test_better_predictions_are_better_by_every_metric(kind: str) -> None:
    outputs, labels = rows_of(kind)
    exact = labels[:, None] if kind == "regression" else np.eye(outputs.shape[1])[labels]
    better = metrics_of_rows(kind, (outputs + exact) / 2, labels)
    worse = metrics_of_rows(kind, outputs, labels)
    assert all(is_better(name, better[name], worse[name]) for name in (*metrics_for(kind), "loss"))


@pytest.mark.parametrize(("kind", "name"), [("binary", "pr_auc"), ("regression", "r2")])
def test_a_metric_of_rows_that_are_all_alike_is_left_out(kind: str, name: str) -> None:
    labels = np.ones(9, np.int64)
    outputs, other_labels = rows_of(kind)
    assert name not in metrics_of_rows(kind, outputs[:9], labels)
    assert main_metric(name, sums_of(kind, outputs[:9], labels)) == "loss"
    assert main_metric(name, sums_of(kind, outputs, other_labels)) == name


@pytest.mark.parametrize(("kind", "name"), [("binary", "log_loss"), ("regression", "mae")])
def test_the_standard_error_is_that_of_the_chosen_metric(kind: str, name: str) -> None:
    outputs, labels = rows_of(kind)
    random = np.random.default_rng(3)
    drawn = [random.integers(0, 300, 300) for _ in range(300)]
    spread = np.std([metrics_of_rows(kind, outputs[rows], labels[rows])[name] for rows in drawn])
    assert metrics_of_rows(kind, outputs, labels, name)["standard_error"] == pytest.approx(
        spread, rel=0.2
    )
    assert "standard_error" not in metrics_of_rows(kind, outputs, labels, "profit")


def test_each_task_has_its_default() -> None:
    assert MAIN_METRIC == {"binary": "auc", "multiclass": "accuracy", "regression": "rmse"}
    assert all(Settings().for_rows(9, kind).metric == name for kind, name in MAIN_METRIC.items())


@pytest.mark.parametrize(
    ("kind", "name"), [("binary", "rmse"), ("regression", "auc"), ("multiclass", "pr_auc")]
)
def test_a_metric_of_another_task_is_refused(
    kind: str, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(features, "TASK", kind)
    for text in (name, "loss", "aucc"):
        with pytest.raises(SystemExit, match="2"):
            arguments.parser().parse_args(["--metric", text])
        line = capsys.readouterr().err.splitlines()[-1]
        assert f"--metric: invalid value '{text}': expected {MAIN_METRIC[kind]}, " in line
        assert line.endswith(f"for TASK = '{kind}'")


def profit(labels: Any, predictions: Any) -> float:
    """Stand in for a function of the user's own."""
    predictions.sort(axis=0)  # which must not change what other metrics see
    labels[:] = 0
    return float(len(labels))


def test_a_function_of_the_user_s_own_is_a_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "METRICS", {"profit": (profit, "maximize")}, raising=False)
    outputs, labels = rows_of("binary")
    before = outputs.copy()
    assert own_values("binary", outputs, labels) == {"profit": 300.0}
    assert np.array_equal(outputs, before) and labels.any()
    assert is_better("profit", 2.0, 1.0) and "profit" in metrics_for("regression")
    assert arguments.parser().parse_args(["--metric", "profit"]).metric == "profit"


@pytest.mark.parametrize(
    "own",
    [
        [profit],
        {"profit": profit},
        {"profit": (profit, "up")},
        {"profit": ("f", "maximize")},
        {"auc": (profit, "maximize")},
        {"step": (profit, "maximize")},
        {"calibration": (profit, "maximize")},
        {"a b": (profit, "maximize")},
        {3: (profit, "maximize")},
    ],
)
def test_a_metric_that_cannot_be_one_is_refused(own: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "METRICS", own, raising=False)
    with pytest.raises(UserError, match=r"METRICS has .*; expected a new name with a function and"):
        Settings().for_rows(9, "binary")


def run(prepared: Path, job_dir: Path, *flags: str) -> int:
    """Train for three epochs and evaluate after each."""
    given = ["--data-dir", str(prepared), "--job-dir", str(job_dir), "--epochs", "3", *flags]
    return exit_code(task.main, [*given, "--quality", "fast", "--hidden-units", "8"])


def test_the_metric_chooses_the_best_evaluation(
    prepared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # The second evaluation is the best; that of the test split is the fourth.
    values = iter([1.0, 3.0, 2.0, 4.0])
    own = {"profit": (lambda labels, predictions: next(values), "maximize")}
    monkeypatch.setattr(features, "METRICS", own, raising=False)
    monkeypatch.setenv("CLOUD_ML_HP_METRIC_FILE", str(tmp_path / "output.metrics"))
    kept: list[int] = []
    monkeypatch.setattr(
        "trainer.training.train_step.Trainer.keep_best", lambda self: kept.append(1)
    )
    monkeypatch.setattr("trainer.training.train_step.Trainer.use_best", lambda self: None)
    assert run(prepared, tmp_path / "job", "--metric", "profit") == 0
    metrics = read_json(tmp_path / "job" / "metrics.json") or {}
    assert (metrics["metric"], metrics["goal"], metrics["profit"]) == ("profit", "maximize", 4.0)
    assert [each["profit"] for each in metrics["history"]] == [1.0, 3.0, 2.0]
    assert metrics.keys() <= {*TAKEN, "profit"}
    assert len(kept) == 2
    printed = capsys.readouterr().err
    assert "test profit  4.0000\n" in printed and "profit 1.0000  " in printed
    assert (tmp_path / "output.metrics").read_text().count('"profit": ') == 3


@pytest.mark.parametrize(("value", "kind"), [(float("nan"), "a finite number"), ("x", "a number")])
def test_a_metric_that_is_no_number_names_where_it_comes_from(
    value: Any,
    kind: str,
    prepared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    own = {"profit": (lambda labels, predictions: value, "maximize")}
    monkeypatch.setattr(features, "METRICS", own, raising=False)
    assert run(prepared, tmp_path / "job", "--metric", "profit", "-q") == EXIT_USER_ERROR
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: the metric profit is ")
    assert f"expected {kind}" in line and "METRICS in trainer/features.py" in line


def test_an_error_of_a_metric_keeps_the_user_s_own_frames(
    prepared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = "def profit(labels, predictions):\n    return 1 / 0\n"
    space: dict[str, Any] = {}
    exec(compile(source, str(Path(str(features.__file__))), "exec"), space)
    own = {"profit": (space["profit"], "maximize")}
    monkeypatch.setattr(features, "METRICS", own, raising=False)
    assert run(prepared, tmp_path / "job", "-q") == EXIT_FAILED
    first, *others = capsys.readouterr().err.splitlines()
    assert first.startswith("error: trainer/features.py, line 2, in profit: ZeroDivisionError")
    framed = [line for line in others if line.startswith("  File ")]
    assert len(framed) == 2 and '"trainer/model.py"' in framed[0]
