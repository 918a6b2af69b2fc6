"""The threshold of two classes: chosen on small cases worked by hand, exported, and changed in an exported model."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from trainer import predict, task
from trainer.data.files import EXAMPLES
from trainer.data.schema import Schema
from trainer.data.shards import Split
from trainer.data.statistics import Statistics
from trainer.data.thresholds import chosen_threshold, in_words, outcome, parsed_aim
from trainer.model import Model, Serving, export
from trainer.publish import load_and_predict
from trainer.run.errors import UserError
from trainer.serving import threshold_of, write_threshold
from trainer.settings import Settings
from trainer.training import loop

SCORES = np.array([0.9, 0.8, 0.7, 0.6, 0.4, 0.3, 0.2, 0.1])
LABELS = np.array([1, 0, 1, 1, 0, 1, 0, 0])


# True and false positives above 0.85, 0.75, … 0.05: 1 0, 1 1, 2 1, 3 1, 3 2, 4 2, 4 3, 4 4.
@pytest.mark.parametrize(
    ("aim", "expected"),
    [
        ("f1", 0.25),  # 8/10; above 0.5 it is 6/8, above 0.15 8/11
        ("balanced", 0.5),  # 3/4 and 3/4; above 0.25 4/4 and 2/4, which is as good: the highest
        ("precision=1", 0.85),
        ("precision=0.75", 0.5),  # not 0.85, which finds fewer
        ("precision=0.7", 0.5),
        ("precision=0.6", 0.25),  # 4 of 6; above 0.35 3 of 5
        ("recall=0.75", 0.5),  # precision 3/4; above 0.25 it is 4/6
        ("recall=0.8", 0.25),
        ("recall=.3", 0.5),  # of 2/3 and 3/4 the higher precision
        ("cost=FP:1,FN:1", 0.5),  # 1 + 1; above 0.25 2 + 0 costs the same
        ("cost=FP:1,FN:5", 0.25),  # 2; above 0.5 1 + 5
        ("cost=FP:5,FN:1", 0.85),  # 3; above 1 4
        ("0.3", 0.3),
        ("1.0", 1.0),
    ],
)
def test_the_threshold_of_an_aim_worked_by_hand(aim: str, expected: float) -> None:
    order = np.random.default_rng(1).permutation(len(LABELS))
    assert chosen_threshold(aim, LABELS[order], SCORES[order]) == pytest.approx(expected)


def test_rows_with_equal_scores_are_on_one_side_and_a_score_of_0_is_above_none() -> None:
    labels, scores = np.array([1, 0, 1, 1, 0]), np.array([0.8, 0.8, 0.8, 0.4, 0.0])
    assert chosen_threshold("f1", labels, scores) == pytest.approx(0.2)
    with pytest.raises(UserError, match="no threshold gives precision=0.9 on the eval split"):
        chosen_threshold("precision=0.9", labels, scores)
    # To predict none is best where false alarms cost much, and no positive row is above another.
    assert chosen_threshold("cost=FP:5,FN:1", np.array([1, 0]), np.array([0.1, 0.9])) == 1.0
    assert chosen_threshold("recall=0.5", np.array([1, 1, 0]), np.array([0.5, 0.0, 0.0])) == 0.25
    with pytest.raises(UserError, match="no threshold gives recall=0.9"):
        chosen_threshold("recall=0.9", np.array([1, 1, 0]), np.array([0.5, 0.0, 0.0]))


@pytest.mark.parametrize("aim", ["f1", "balanced", "precision=0.6", "recall=0.9", "cost=FP:2,FN:3"])
def test_no_other_threshold_is_better(aim: str) -> None:
    random = np.random.default_rng(7)
    labels = random.integers(0, 2, 300)
    scores = np.round(0.3 * labels + 0.7 * random.random(300), 2)

    def worth(threshold: float) -> tuple[bool, float]:
        found = outcome(labels, scores, threshold)
        recall, precision = found["recall"], found["precision"] or 0.0
        false = found["false_positives"]
        specificity = 1 - false / int((labels == 0).sum())
        return {
            "f1": (True, found["f1"]),
            "balanced": (True, recall + specificity),
            "precision": (precision >= 0.6, recall),
            "recall": (recall >= 0.9, precision),
            "cost": (True, -(2 * false + 3 * found["false_negatives"])),
        }[aim.partition("=")[0]]

    chosen = worth(chosen_threshold(aim, labels, scores))
    assert chosen == pytest.approx(max(worth(each) for each in np.linspace(0, 1, 1_001)))


@pytest.mark.parametrize(
    ("labels", "aim"),
    [([0, 1, 1], "precision=0.9"), ([1, 1, 1], "f1"), ([0, 0, 0], "balanced")],
)
def test_an_aim_out_of_reach_is_refused_with_three_parts(labels: list[int], aim: str) -> None:
    scores = np.array([0.9, 0.5, 0.1])
    with pytest.raises(
        UserError,
        match=f"no threshold gives {aim} on the eval split, where precision reaches .*; "
        "expected rows of two classes, and an aim in reach; name another aim",
    ):
        chosen_threshold(aim, np.array(labels), scores)


@pytest.mark.parametrize(
    "aim",
    [
        *("", "f2", "F1", "1.5", "-0.1", "nan", "precision", "precision=2", "recall=", "f1=0.5"),
        *("cost=1,5", "cost=FP:0,FN:0", "cost=FP:1", "cost=FP:inf,FN:1", "0.5 ", "50%", "0.\u0665"),
    ],
)
def test_an_aim_of_another_form_is_refused(aim: str) -> None:
    with pytest.raises(UserError, match="--threshold is .*; expected f1, balanced, precision="):
        parsed_aim(aim)


def test_errors_at_a_threshold_are_counted_above_it() -> None:
    found = outcome(LABELS, SCORES, 0.6)  # 0.6 itself is not above
    counts = [found[f"{each}s"] for each in ("true_positive", "false_positive", "false_negative")]
    assert counts == [2, 1, 2] and found["predicted_positive"] == 3 / 8
    assert (found["precision"], found["recall"], found["f1"]) == (2 / 3, 1 / 2, 4 / 7)
    assert in_words(found) == "at 0.6: 2 of 4 positives found, 1 false alarms"
    assert outcome(LABELS, SCORES, 1.0)["precision"] is None
    assert outcome(np.zeros(8), SCORES, 1.0)["f1"] is None


def new_model(schema: Schema, statistics: Statistics) -> Model:
    """Return a model of two classes with random weights, none of them zero."""
    if schema.task != "binary":
        pytest.skip("a threshold is of two classes")
    settings = Settings(hidden_units=(8,), ensemble=1).for_rows(100, schema.task)
    model = Model(schema, statistics, settings)
    for variable in model.network.trainable_variables:
        variable.assign(tf.random.stateless_normal(variable.shape, [1, 2], stddev=0.3))
    return model


@pytest.fixture
def exported(schema: Schema, statistics: Statistics, tmp_path: Path) -> Path:
    """The folder of an exported model."""
    folder = tmp_path / "run" / "model"
    export(new_model(schema, statistics), schema, statistics, folder, is_chief=True)
    return folder


def test_the_label_is_that_of_the_threshold(
    schema: Schema, statistics: Statistics, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = new_model(schema, statistics)
    below = np.nextafter(np.float32(0.5), np.float32(0))
    # Of the second row the positive class is the more probable one, and not above 0.5.
    likely = tf.constant([[0.5, 0.5], [below, 0.5], [0.6, 0.4], [0.2, 0.8]])
    monkeypatch.setattr(model, "predictions", lambda *_: likely)
    serving = Serving(model, schema, statistics)
    monkeypatch.setattr(serving, "encoded", lambda _: (None, None))

    def positive(threshold: float) -> list[bool]:
        model.threshold = threshold
        labels = serving.predict()["label"].numpy().tolist()
        return [label.decode() == statistics.label.classes[1] for label in labels]

    assert positive(0.5) == [False, True, False, True]
    assert positive(0.3) == [True, True, True, True]
    assert positive(0.45) == [True, True, False, True]
    assert positive(0.9) == [False] * 4


def test_a_changed_threshold_changes_the_labels_of_predict_and_nothing_else(
    exported: Path, prepared: Path, tmp_path: Path, statistics: Statistics
) -> None:
    def predicted() -> list[dict[str, Any]]:
        output = tmp_path / "predicted.jsonl"
        examples = prepared / EXAMPLES
        arguments = ["--model", exported, "--input", examples, "--output", output, "-q"]
        assert predict.main([str(each) for each in arguments]) == 0
        return [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]

    before, content = predicted(), (exported / "saved_model.pb").read_bytes()
    files = {path for path in exported.rglob("*")}
    assert threshold_of(exported) == 0.5
    likely = np.array([row["probability"] for row in before])
    threshold = float(np.median(likely))
    write_threshold(exported, threshold)
    after = predicted()
    assert threshold_of(exported) == threshold
    assert [row["probability"] for row in after] == likely.tolist()
    negative, positive = statistics.label.classes
    assert [row["label"] for row in after] == [
        positive if each > threshold else negative for each in likely.astype(np.float32)
    ]
    assert after != before
    write_threshold(exported, 0.0)
    assert threshold_of(exported) == 0.0 and {row["label"] for row in predicted()} == {positive}
    write_threshold(exported, 0.5)
    assert (exported / "saved_model.pb").read_bytes() == content
    assert {path for path in exported.rglob("*")} == files


def test_servers_answer_with_the_changed_threshold_too(
    exported: Path, statistics: Statistics
) -> None:
    for threshold, label in zip((1.0, 0.0), statistics.label.classes, strict=True):
        write_threshold(exported, threshold)
        assert [row["label"] for row in load_and_predict(exported, [{}])] == [label]


@pytest.mark.parametrize("failing", ["write_bytes", "replace"])
def test_an_interrupted_change_leaves_the_old_model_whole(
    failing: str, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.read_bytes() for path in exported.rglob("*") if path.is_file()}

    def interrupted(path: Path, content: Any) -> None:
        if failing == "write_bytes":
            with path.open("wb") as file:
                file.write(content[: len(content) // 2])
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, failing, interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_threshold(exported, 0.25)
    monkeypatch.undo()
    assert {path: path.read_bytes() for path in before} == before
    assert threshold_of(exported) == 0.5
    assert tf.saved_model.load(str(exported)).signatures["typed"]


def run_task(prepared: Path, job_dir: Path, *flags: str) -> dict[str, Any]:
    """Train two steps and return the metrics."""
    arguments = ["--data-dir", str(prepared), "--job-dir", str(job_dir), "--max-steps", "2", "-q"]
    assert task.main([*arguments, "--quality", "fast", "--hidden-units", "8", *flags]) == 0
    found: dict[str, Any] = json.loads((job_dir / "metrics.json").read_text(encoding="utf-8"))
    return found


def test_a_run_chooses_the_threshold_on_the_eval_split(
    prepared: Path, schema: Schema, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if schema.task != "binary":
        pytest.skip("a threshold is of two classes")
    given = []

    def choosing(aim: str, labels: Any, scores: Any, weights: Any) -> float:
        given.append(labels)
        return chosen_threshold(aim, labels, scores, weights)

    monkeypatch.setattr(loop, "chosen_threshold", choosing)
    found = run_task(prepared, tmp_path / "f1", "--threshold", "f1")
    eval_labels = Split(prepared / "eval", schema, memory_mb=64).all_rows().labels
    assert given and all(np.array_equal(labels, eval_labels) for labels in given)
    threshold = found["threshold"]["threshold"]
    assert found["threshold"]["aim"] == "f1" and found["thresholds"]["f1"] == threshold
    assert threshold_of(tmp_path / "f1" / "model") == threshold != 0.5
    # The errors are those of the last split, here the test table.
    labels = Split(prepared / "test", schema, memory_mb=64).all_rows().labels
    positives = found["threshold"]["true_positives"] + found["threshold"]["false_negatives"]
    assert found["split"] == "test" and positives == (labels == 1).sum()


@pytest.mark.parametrize("flags", [(), ("--threshold", "precision=0.99")])
def test_a_run_without_a_threshold_of_its_own_has_a_half(
    flags: tuple[str, ...],
    prepared: Path,
    schema: Schema,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if schema.task != "binary":
        pytest.skip("a threshold is of two classes")

    def choosing(aim: str, *given: Any) -> float:
        if aim == "precision=0.99":
            raise UserError("no threshold gives it", "another", "name another")
        return chosen_threshold(aim, *given)

    monkeypatch.setattr(loop, "chosen_threshold", choosing)
    found = run_task(prepared, tmp_path, *flags)
    assert found["threshold"]["threshold"] == threshold_of(tmp_path / "model") == 0.5
    warned = "; name another; the threshold is 0.5" in capsys.readouterr().err
    assert warned == bool(flags)
