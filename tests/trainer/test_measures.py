"""Measures of predictions on cases worked by hand, and the page that shows them."""

import re
from typing import Any

import numpy as np
import pytest
from trainer.data.thresholds import calibration_error
from trainer.evaluation import measures
from trainer.evaluation.page import page

LABELS = np.array([0, 0, 1, 1])
SCORES = np.array([0.1, 0.4, 0.35, 0.8])
OWN = {measures.OWN: 0.5}


def unweighted(task: str, labels: Any, predictions: Any) -> measures.Scored:
    return measures.Scored(task, labels, predictions, np.ones(len(labels)))


def of_two(positive: Any) -> Any:
    """Return probabilities of two classes from those of the second."""
    return np.stack([1 - np.asarray(positive), positive], axis=1)


def test_measures_of_two_classes() -> None:
    found = measures.measured(unweighted("binary", LABELS, of_two(SCORES)))
    # Of the four pairs of a negative and a positive row, 0.4 and 0.35 alone are in the wrong order.
    assert found["auc"] == 3 / 4
    # By falling score: positive, negative, positive, negative.
    assert found["pr_auc"] == pytest.approx(1 / 2 * 1 + 1 / 2 * 2 / 3)
    assert (found["accuracy"], found["balanced_accuracy"]) == (3 / 4, (1 + 1 / 2) / 2)
    assert found["f1"] == pytest.approx(2 * 1 * (1 / 2) / (1 + 1 / 2))
    assert found["log_loss"] == pytest.approx(-np.log([0.9, 0.6, 0.35, 0.8]).mean())
    assert found["brier"] == pytest.approx((0.1**2 + 0.4**2 + 0.65**2 + 0.2**2) / 4)
    # Each row has a bin of its own.
    assert found["calibration_error"] == pytest.approx((0.1 + 0.4 + 0.65 + 0.2) / 4)


def test_measures_of_several_classes() -> None:
    labels = np.array([0, 1, 1, 2])
    predictions = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.3, 0.3, 0.4]])
    scored = unweighted("multiclass", labels, predictions)
    found = measures.measured(scored)
    assert found["accuracy"] == 3 / 4 and found["balanced_accuracy"] == pytest.approx(2.5 / 3)
    # Class 0: precision 1/2, recall 1; class 1: 1 and 1/2; class 2: 1 and 1.
    assert found["f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    squares = [0.04 + 0.01 + 0.01, 0.04 + 0.09 + 0.01, 0.36 + 0.49 + 0.01, 0.09 + 0.09 + 0.36]
    assert found["brier"] == pytest.approx(sum(squares) / 4 / 2)
    # Of the most probable class: 0.8, 0.7 and 0.4 are right, 0.6 is wrong.
    assert found["calibration_error"] == pytest.approx((0.2 + 0.3 + 0.6 + 0.6) / 4)
    # A class that no row has counts nowhere.
    part = measures.measured(scored[:1])
    assert (part["balanced_accuracy"], part["f1"]) == (1, 1)


def test_measures_of_a_number() -> None:
    labels, predictions = np.array([1.0, 2.0, 3.0]), np.array([1.0, 4.0, 2.0])
    scored = unweighted("regression", labels, predictions)
    found = measures.measured(scored)
    assert found == {"rmse": pytest.approx((5 / 3) ** 0.5), "mae": 1.0, "r2": 1 - 5 / 2}
    assert measures.measured(scored[:1])["r2"] is None
    quantiles = measures.details(scored, (), {})["error_quantiles"]
    assert quantiles["0.5"] == {"error": 0.0, "size": 1.0}
    assert quantiles["0.75"] == {"error": 0.5, "size": 1.5}


def test_a_slice_that_is_predicted_worse_is_found_and_no_other() -> None:
    generator = np.random.default_rng(3)
    labels, names = generator.integers(0, 2, 4_000), np.array(["a", "b", "c", "d"] * 1_000)
    scores = np.where(labels, 0.9, 0.1) + generator.uniform(-0.05, 0.05, 4_000)
    scores[names == "c"] = 0.5  # worse on purpose
    columns = {
        "plan": names.tolist(),
        "chance": generator.uniform(size=4_000).tolist(),
        "constant": ["x"] * 4_000,
        "few": ["y"] * 20 + ["z"] * 3_980,
    }
    scored = unweighted("binary", labels, of_two(scores))
    found = measures.worse_slices(scored, columns)
    [(name, worse)] = found.items()
    assert name == "plan: c" and worse["rows"] == 1_000 and worse["auc"] == 0.5
    assert worse["loss"] == worse["expected"] == pytest.approx(-np.log(0.5)) and worse["p"] < 1e-6
    assert worse["others"] == pytest.approx(measures.losses(scored)[names != "c"].mean())
    errors = np.where(names == "d", 3.0, 1.0)
    numbers = generator.normal(size=4_000)
    found = measures.worse_slices(unweighted("regression", numbers, numbers + errors), columns)
    assert found.keys() == {"plan: d"} and found["plan: d"]["loss"] == pytest.approx(9)


def test_a_calibrated_model_has_no_calibration_error() -> None:
    hits = np.array([True] * 1 + [False] * 4 + [True] * 4 + [False] * 1)
    assert calibration_error(hits, np.repeat([0.2, 0.8], 5)) == pytest.approx(0)
    assert calibration_error(hits, np.repeat([0.8, 0.2], 5)) == pytest.approx(0.6)
    # 1.0 is in the last bin.
    assert calibration_error(np.array([True, True]), np.array([1.0, 0.9])) < 0.1


def test_the_confusion_is_by_the_true_class() -> None:
    found = measures.details(unweighted("binary", LABELS, of_two(SCORES)), ("no", "yes"), OWN)
    assert found["confusion"] == {"no": {"no": 2, "yes": 0}, "yes": {"no": 1, "yes": 1}}
    assert found["by_class"]["no"] == {
        "precision": pytest.approx(2 / 3),
        "recall": 1.0,
        "f1": pytest.approx(0.8),
        "rows": 2,
    }


def test_measures_confusion_and_thresholds_are_at_the_threshold_of_the_model() -> None:
    at = {measures.OWN: 0.3, "f1": 0.5}
    found = measures.details(unweighted("binary", LABELS, of_two(SCORES)), ("no", "yes"), at)
    assert found["confusion"] == {"no": {"no": 1, "yes": 1}, "yes": {"no": 0, "yes": 2}}
    assert [*found["thresholds"]][:3] == ["model", "f1", "0.1"] and "0.9" in found["thresholds"]
    table = found["thresholds"]
    assert table["model"]["recall"] == 1.0 and table["model"]["precision"] == 2 / 3
    assert table["f1"] == table["0.5"] and table["f1"]["false_negatives"] == 1
    measured = measures.measured(unweighted("binary", LABELS, of_two(SCORES)), 0.3)
    assert measured["f1"] == pytest.approx(4 / 5) and measured["accuracy"] == 3 / 4
    assert measured["balanced_accuracy"] == 3 / 4 and measured["auc"] == 3 / 4


def test_lift_is_how_many_times_chance() -> None:
    scores = np.linspace(1, 0, 20)
    labels = np.array([1, 1] + [0] * 17 + [1])
    found = measures.lift(unweighted("binary", labels, of_two(scores)))
    assert found["10%"] == {"gain": pytest.approx(2 / 3), "lift": pytest.approx(2 / 3 / 0.1)}
    assert found["90%"]["gain"] == pytest.approx(2 / 3)
    assert found["100%"] == {"gain": 1, "lift": 1}


@pytest.mark.parametrize("rows", [400, 40_000])
def test_an_interval_is_that_of_the_normal_distribution(rows: int) -> None:
    labels = np.arange(rows) % 5 // 4  # one in five
    scored = unweighted("binary", labels, of_two(np.full(rows, 0.3)))
    others: Any = {"constant": measures.measured(scored), "linear": {"auc": 0.7}}
    found = measures.with_intervals(scored, others)["accuracy"]
    assert found["value"] == found["constant"] == 0.8 and found["linear"] is None
    expected = 1.96 * (0.8 * 0.2 / rows) ** 0.5
    assert found["high"] - 0.8 == pytest.approx(expected, rel=0.25)
    assert 0.8 - found["low"] == pytest.approx(expected, rel=0.25)


def test_slices_of_values_and_of_numbers() -> None:
    values = [*"aab", *(f"v{n}" for n in range(20)), None, ""]
    found = {name: int(mask.sum()) for name, mask in measures.slices_of(values)}
    assert [*found][:2] == ["a", "b"] and found["a"] == 2
    assert [*found][-2:] == ["(10 others)", "(missing)"] and found["(10 others)"] == 10
    assert found["(missing)"] == 2 and sum(found.values()) == len(values)
    numbers = [float(number) for number in range(8)] + [None]
    quarters = {name: [*mask.nonzero()[0]] for name, mask in measures.slices_of(numbers)}
    assert [*quarters.values()] == [[0, 1], [2, 3], [4, 5], [6, 7], [8]]
    assert next(iter(quarters)) == "0 to below 1.75" and [*quarters][-2:] == [
        "5.25 to 7",
        "(missing)",
    ]
    assert [(name, mask.sum()) for name, mask in measures.slices_of([3.0, 3.0])] == [("3 to 3", 2)]
    assert [name for name, _ in measures.slices_of([None, None])] == ["(missing)"]


def test_a_slice_that_was_made_worse_is_found() -> None:
    labels = np.tile([0, 1], 60)
    scores = np.where(labels == 1, 0.9, 0.1)
    scores[:40] = 0.5 + 0.1 * (-1) ** np.arange(40)  # of the wrong class
    scored = unweighted("binary", labels, of_two(scores))
    found = measures.sliced(scored, ["north"] * 40 + ["south"] * 80)
    assert (found["north"]["auc"], found["south"]["auc"]) == (0, 1)
    assert (found["south"]["rows"], found["north"]["rows"]) == (80, 40)
    one = measures.sliced(scored, labels.astype(str).tolist())
    assert one["1"]["auc"] is None and one["1"]["accuracy"] < 1


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_leaking_column_comes_first_and_a_useless_one_is_within_its_spread(task: str) -> None:
    generator = np.random.default_rng(1)
    codes = generator.integers(0, {"binary": 2, "multiclass": 3, "regression": 50}[task], 600)
    labels = codes.astype(np.float64) if task == "regression" else codes
    weak = labels + generator.normal(0, 2, 600)

    def predict(cells: Any) -> Any:
        leak, some, useless = cells.T
        value = labels[leak] + 0.1 * weak[some] + 1e-3 * generator.normal(size=len(useless))
        if task == "regression":
            return value
        distance = np.abs(value[:, None] - np.arange(codes.max() + 1))
        odds = np.exp(-3 * distance)
        return odds / odds.sum(axis=1, keepdims=True)

    found = measures.importance(
        unweighted(task, labels, predict(np.tile(np.arange(600)[:, None], 3))),
        ("leak", "weak", "useless"),
        predict,
    )
    assert next(iter(found)) == "leak" and found["leak"]["mean"] > 10 * found["weak"]["mean"]
    assert abs(found["useless"]["mean"]) <= 2 * found["useless"]["deviation"] + 1e-3


def test_the_most_frequent_values() -> None:
    assert measures.most_frequent(["b", None, "a", "a"]) == ["a", "b"]
    assert len(measures.most_frequent(range(99))) == measures.MOST_POINTS


ODD_DETAILS = {
    "model": "runs/<b>",
    "source": {"text": "test table"},
    "importance": {"$\\frac{$": {"mean": 0.1, "deviation": 0.01}},
    "revealing": ["<i>x</i> alone gives the class"],
    "partial_dependence": {
        "<i>$x_1": {"values": [1.0, 2.0], "predictions": {"$<i>": [0.1, 0.2]}},
        "text": {"values": ["$<i>", "b" * 999], "predictions": {"p": [0.1, 0.2]}},
    },
    "drift": {"<i>": {"drifted": True, "jensen_shannon": None}},
}


def odd_document(scored: measures.Scored) -> dict[str, Any]:
    """Return what a page shows of predictions for 200 rows, with names that are no plain text."""
    main = measures.MAIN[scored.task]
    classes = ("<no>", "yes", "maybe")[: scored.predictions.shape[-1]]
    return {
        **ODD_DETAILS,
        "task": scored.task,
        "rows": len(scored),
        "metric": main,
        "metrics": measures.with_intervals(scored, {"constant": {}}),
        **measures.details(scored, classes, OWN),
        "slices": {"a <b>": measures.sliced(scored, ["x&y", None] * 100)},
        "history": [{"epoch": n, "loss": 1 / n, main: n} for n in (1, 2)],
    }


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_the_page_needs_no_other_file(task: str) -> None:
    rows = 200
    labels: Any = np.arange(rows) % (2 if task == "binary" else 3)
    count = labels.max() + 1
    predictions: Any = np.eye(count)[labels] * 0.4 + 0.6 / count
    if task == "regression":
        labels, predictions = labels * 1.5, labels + 0.1 * np.arange(rows)
    values = np.array(["$<i>", None, "b"] * rows, object)[:rows]
    cells = {"<i>$x_1": np.where(np.arange(rows) % 5, 1.5, np.nan), "text": values}
    scored = unweighted(task, labels, predictions)
    text, pictures = page(odd_document(scored), scored, cells)
    assert "<i>" not in text and "alone gives the class.</p>" in text
    assert "Learning curve" in text and "<td>yes</td>" in text
    assert text.count("Errors by") == (4 if task == "regression" else 0)  # also as a label
    assert not re.search(r"<script|<link|<img|src=|@import|<b>x|runs/<b>|#000000|#010203", text)
    # Names of XML, and of shapes that the page itself holds.
    links = re.findall(r'(?:href|url)[=(]["\']?([^"\')]+)', text)
    assert all(each.startswith("#") for each in links)
    own = re.findall(r'<clipPath id="([^"]+)"', text)
    assert len({*own}) == len(own) >= 2
    assert text.count("<figure>") == {"binary": 8, "multiclass": 6, "regression": 9}[task]
    assert len(pictures) == text.count("<figure>")
    assert all(each.startswith(b"\x89PNG") for each in pictures.values())
    assert all(re.fullmatch("[0-9]{2}-[a-z0-9-]*[.]png", name) for name in pictures)
    assert ("<h2>Thresholds</h2>" in text) == (task == "binary")
    assert "x&amp;y" in text and "200 rows of the test table" in text
