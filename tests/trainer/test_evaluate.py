"""`trainer.evaluate`: which rows it evaluates, that their measures are those of training, and what it refuses."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from conftest import Row, decimal, made_up_rows, write_table
from evaluating import check_parity
from trainer import evaluate, features
from trainer.data.cells import days
from trainer.data.schema import Schema
from trainer.data.shards import Split
from trainer.data.statistics import Statistics
from trainer.data.thresholds import chosen_threshold
from trainer.evaluation import measures
from trainer.evaluation.held_out import HeldOut
from trainer.model import Model, export
from trainer.run.errors import UserError
from trainer.serving import STATISTICS, threshold_of, write_threshold
from trainer.settings import Settings
from trainer.training.metrics import MAIN_METRIC

Evaluate = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def model(schema: Schema, statistics: Statistics) -> Model:
    """A model with random weights, none of them zero."""
    model = Model(
        schema, statistics, Settings(hidden_units=(8,), ensemble=1).for_rows(100, schema.task)
    )
    for variable in model.network.trainable_variables:
        variable.assign(tf.random.stateless_normal(variable.shape, [1, 2], stddev=0.3))
    return model


@pytest.fixture(scope="module")
def run_dir(
    model: Model, schema: Schema, statistics: Statistics, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of a run with that model."""
    folder = tmp_path_factory.mktemp("run")
    export(model, schema, statistics, folder / "model", is_chief=True)
    return folder


@pytest.fixture
def evaluated(run_dir: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch) -> Evaluate:
    """Evaluates with some flags and returns what evaluation.json holds."""
    monkeypatch.setattr(measures, "RESAMPLES", 5)
    monkeypatch.setattr(measures, "REPEATS", 2)
    folder = prepared.parent

    def run(*more: str, test: bool = True) -> dict[str, Any]:
        tables = ["--train", folder / "train.data", *["--test", folder / "test.data"] * test]
        flags = ["--output", prepared, "--eval-share", "0.25", "--model", run_dir / "model"]
        assert evaluate.main([str(each) for each in (*tables, *flags, "-q", *more)]) == 0
        text = (run_dir / "evaluation" / "evaluation.json").read_text(encoding="utf-8")
        document: dict[str, Any] = json.loads(text)
        return document

    return run


def test_the_test_table_is_evaluated(
    evaluated: Evaluate, model: Model, prepared: Path, schema: Schema, run_dir: Path
) -> None:
    names = [schema.used[0], schema.used[-1]]
    found = evaluated("--by", ",".join(f'"{name}"' for name in names))
    check_parity(found, model, prepared / "test", schema)
    assert found["source"]["rows_of"] == "test" and not found["source"]["chose_the_run"]
    assert found["importance"].keys() == {*schema.used}
    compared = {*schema.used} - {*schema.texts}
    assert found["drift"].keys() == compared
    assert not any(each["drifted"] for each in found["drift"].values())
    for name, dependence in found["partial_dependence"].items():
        assert name in compared
        for means in dependence["predictions"].values():
            assert len(means) == len(dependence["values"])
    card = (run_dir / "evaluation" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert f"- Rows: {found['rows']:,} of the test table" in card
    assert [*found["slices"]] == names
    for slices in found["slices"].values():
        assert sum(each["rows"] for each in slices.values()) == found["rows"]
    if schema.task != "regression":
        counts = [count for row in found["confusion"].values() for count in row.values()]
        assert sum(counts) == found["rows"]
    text = (run_dir / "evaluation" / "report.html").read_text(encoding="utf-8")
    assert f"{found['rows']:,} rows of the test table" in text


def test_without_one_the_eval_split_is_evaluated(
    evaluated: Evaluate,
    model: Model,
    prepared: Path,
    schema: Schema,
    rows: list[Row],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As if it had been prepared without a test table.
    monkeypatch.setattr(evaluate, "stale_reasons", lambda *_: [])
    found = evaluated(test=False)
    check_parity(found, model, prepared / "eval", schema)
    assert found["source"]["rows_of"] == "eval" and found["source"]["chose_the_run"]
    # All rows are those of the whole table.
    table = write_table(tmp_path / "rows.data", schema, rows)
    whole = evaluated("--input", str(table), test=False)
    assert (whole["rows"], whole["source"]["rows_of"]) == (len(rows), "input")


def test_partial_dependence_is_what_the_network_predicts(
    evaluated: Evaluate,
    model: Model,
    prepared: Path,
    schema: Schema,
    rows: list[Row],
    tmp_path: Path,
) -> None:
    found = evaluated()["partial_dependence"]
    # Of numbers and dates alike, in the units of the column.
    for name in {*found} & {*schema.numeric}:
        where, dependence = schema.numeric.index(name), found[name]
        window = Split(prepared / "test", schema, memory_mb=64).all_rows()
        [means, *_] = dependence["predictions"].values()
        for value, mean in zip(dependence["values"], means, strict=True):
            numbers = np.array(window.numbers)
            numbers[:, where] = days(value) if name in schema.dates else value
            outputs = model.predictions(tf.constant(numbers), tf.constant(window.codes)).numpy()
            if schema.task != "multiclass":
                assert outputs[:, -1].mean() == pytest.approx(mean, rel=1e-3)
    assert found


def test_drift_that_was_planted_is_named(
    evaluated: Evaluate,
    schema: Schema,
    rows: list[Row],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    numeric, coded = schema.of_kind("numeric")[0], schema.vocabulary[0]
    planted = [{**row, numeric: "7e30", coded: "never seen"} for row in rows]
    table = write_table(tmp_path / "rows.data", schema, planted)
    found = evaluated("--input", str(table))["drift"]
    assert {name for name, each in found.items() if each["drifted"]} == {numeric, coded}
    assert [*found][:2] == [numeric, coded] or [*found][:2] == [coded, numeric]
    said = evaluate.drifted(found)
    assert numeric in said and coded in said and "from the training rows" in said


def test_columns_that_give_the_label_away_are_named(
    evaluated: Evaluate, run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run_dir / "model" / STATISTICS
    before = path.read_text(encoding="utf-8")
    known = json.loads(before) | {"revealing": ["'<x>' alone gives the class"]}
    path.write_text(json.dumps(known), encoding="utf-8")
    try:
        found = evaluated()
    finally:
        path.write_text(before, encoding="utf-8")
    assert found["revealing"] == ["'<x>' alone gives the class"]
    assert "warning: '<x>' alone gives the class" in capsys.readouterr().err
    page = (run_dir / "evaluation" / "report.html").read_text(encoding="utf-8")
    assert "&lt;x&gt;&#x27; alone gives the class." in page


def test_without_its_template_there_is_no_card(
    evaluated: Evaluate, run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated()
    assert (run_dir / "evaluation" / "MODEL_CARD.md").is_file()
    monkeypatch.setattr(evaluate, "TEMPLATE", tmp_path / "none.md")
    evaluated()
    assert not (run_dir / "evaluation" / "MODEL_CARD.md").exists()


def eval_split_of(model: Model, prepared: Path, schema: Schema) -> tuple[Any, Any]:
    """Return the labels and the scores of the eval split, computed from its shards."""
    window = Split(prepared / "eval", schema, memory_mb=64).all_rows()
    outputs = model.predictions(tf.constant(window.numbers), tf.constant(window.codes)).numpy()
    return window.labels, outputs[:, 1].astype(np.float64)


def test_a_threshold_is_chosen_on_the_eval_split(
    evaluated: Evaluate,
    model: Model,
    prepared: Path,
    schema: Schema,
    rows: list[Row],
    run_dir: Path,
    tmp_path: Path,
) -> None:
    before = (run_dir / "model" / "saved_model.pb").read_bytes()
    if schema.task != "binary":
        with pytest.raises(UserError, match="has no threshold; expected a model of two classes"):
            evaluated("--threshold", "f1")
        return
    labels, scores = eval_split_of(model, prepared, schema)
    expected = chosen_threshold("balanced", labels, scores)
    shown = evaluated("--threshold", "balanced")
    assert (run_dir / "model" / "saved_model.pb").read_bytes() == before
    assert shown["source"]["rows_of"] == "test"
    found = shown["thresholds"]["balanced"]["threshold"]
    assert found == pytest.approx(expected, rel=1e-5)
    assert shown["thresholds"]["model"]["threshold"] == 0.5
    # Other rows than those of the eval split play no part either.
    table = write_table(tmp_path / "rows.data", schema, rows[:50])
    other = evaluated("--threshold", "balanced", "--input", str(table))
    assert other["thresholds"]["balanced"]["threshold"] == found


def test_a_threshold_is_kept_if_asked(evaluated: Evaluate, schema: Schema, run_dir: Path) -> None:
    if schema.task != "binary":
        pytest.skip("a threshold is of two classes")
    folder = run_dir / "model"
    before = (folder / "saved_model.pb").read_bytes()
    shown = evaluated("--threshold", "balanced")
    kept = evaluated("--threshold", "balanced", "--keep")
    errors = kept["thresholds"]["model"]
    assert threshold_of(folder) == errors["threshold"]
    assert errors["threshold"] == shown["thresholds"]["balanced"]["threshold"] != 0.5
    assert kept["confusion"] != shown["confusion"]
    assert kept["metrics"]["f1"]["value"] == pytest.approx(errors["f1"])
    assert kept["metrics"]["f1"] != shown["metrics"]["f1"]
    assert kept["metrics"]["auc"]["value"] == shown["metrics"]["auc"]["value"]
    write_threshold(folder, 0.5)
    assert (folder / "saved_model.pb").read_bytes() == before


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--threshold", "f3"], "--threshold is 'f3'; expected f1, balanced, .*; choose one of"),
        (["--keep"], "--keep is given alone; expected a threshold to keep; add --threshold f1"),
        (["--threshold", "precision=1", "--keep"], "no threshold gives precision=1 .*; expected"),
    ],
)
def test_a_threshold_that_cannot_be_is_refused_and_nothing_changes(
    flags: list[str],
    message: str,
    evaluated: Evaluate,
    schema: Schema,
    run_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if schema.task != "binary":
        pytest.skip("a threshold is of two classes")

    def alike(held_out: HeldOut, *_: Any) -> Any:
        return np.tile([0.4, 0.6], (len(held_out.rows), 1))

    monkeypatch.setattr(HeldOut, "predicted", alike)
    before = {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=message):
        evaluated(*flags)
    assert {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()} == before


def test_a_threshold_without_the_eval_split_is_refused(
    evaluated: Evaluate, schema: Schema, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if schema.task != "binary":
        pytest.skip("a threshold is of two classes")
    before = (run_dir / "model" / "saved_model.pb").read_bytes()
    monkeypatch.setattr(evaluate, "prepared_fingerprint", lambda _: "another")
    with pytest.raises(
        UserError, match="does not hold the data of the model .*; expected .*give --threshold a nu"
    ):
        evaluated("--threshold", "f1", "--keep")
    assert (run_dir / "model" / "saved_model.pb").read_bytes() == before
    found = evaluated("--threshold", "0.31")  # needs no rows
    assert found["thresholds"]["0.31"]["threshold"] == 0.31


def test_the_linear_baseline_of_the_run_is_beside_the_measures_of_the_same_rows(
    evaluated: Evaluate, schema: Schema, rows: list[Row], run_dir: Path, tmp_path: Path
) -> None:
    name = MAIN_METRIC[schema.task]
    trained = {"split": "test", "linear_baseline": {name: 0.75, "loss": 0.5}, "thresholds": {}}
    if schema.task == "binary":
        trained["thresholds"] = {"recall=0.8": 0.3}
    (run_dir / "metrics.json").write_text(json.dumps(trained), encoding="utf-8")
    try:
        found = evaluated()
        table = write_table(tmp_path / "rows.data", schema, rows[:50])
        other = evaluated("--test", str(table))  # not the rows of the run
    finally:
        (run_dir / "metrics.json").unlink()
    assert found["metrics"][name]["linear"] == 0.75
    if schema.task != "regression":
        assert found["metrics"]["log_loss"]["linear"] == 0.5
    assert "linear" not in other["metrics"][name]
    if schema.task == "binary":
        assert found["thresholds"]["recall=0.8"]["threshold"] == 0.3
        assert [*found["thresholds"]][:3] == ["model", "recall=0.8", "0.1"]


def test_data_that_the_model_was_not_trained_on_is_refused(
    evaluated: Evaluate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "stale_reasons", lambda *_: [])
    monkeypatch.setattr(evaluate, "prepared_fingerprint", lambda _: "another")
    with pytest.raises(UserError, match="does not hold the data of the model .the model was train"):
        evaluated(test=False)
    monkeypatch.undo()


def test_a_table_that_has_changed_is_refused(evaluated: Evaluate) -> None:
    # It was prepared with a test table.
    with pytest.raises(UserError, match="does not hold the data of the model .made with the test"):
        evaluated(test=False)


@pytest.mark.parametrize("labelled", [0, 1])
def test_too_few_rows_are_refused(
    labelled: int, evaluated: Evaluate, schema: Schema, tmp_path: Path
) -> None:
    made_up = made_up_rows(schema, 5, seed=3)
    for row in made_up[labelled:]:
        row[schema.label] = ""
    table = write_table(tmp_path / "rows.data", schema, made_up)
    with pytest.raises(
        UserError, match=f"has {labelled} row.s. with a label .*; expected at least 2"
    ):
        evaluated("--input", str(table))


def test_rows_of_one_class_are_refused(
    evaluated: Evaluate, schema: Schema, rows: list[Row], tmp_path: Path
) -> None:
    if schema.task == "regression":
        pytest.skip("there are no classes")
    label = rows[0][schema.label]
    table = write_table(tmp_path / "rows.data", schema, [{**r, schema.label: label} for r in rows])
    with pytest.raises(
        UserError,
        match=f"all {len(rows)} evaluated rows of .* are of the class '{label}'.*eval_share",
    ):
        evaluated("--input", str(table))


def test_what_does_not_fit_is_refused_and_an_earlier_evaluation_stays(
    evaluated: Evaluate,
    schema: Schema,
    rows: list[Row],
    run_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = evaluated()
    first = schema.used[0]
    with pytest.raises(UserError, match="--by names 'nothing', which is no column; expected one"):
        evaluated("--by", "nothing")
    with pytest.raises(UserError, match="no file .*nothing.csv; expected CSV .*; correct its name"):
        evaluated("--input", str(tmp_path / "nothing.csv"))
    if not schema.header:
        less = [{name: cell for name, cell in row.items() if name != first} for row in rows]
        table = write_table(tmp_path / "less.data", schema, less)
        with pytest.raises(UserError, match=f"has no column '{first}'"):
            evaluated("--input", str(table))
    numeric = schema.of_kind("numeric")[0]
    bad = [{**row, numeric: decimal("1.5 apples", schema)} for row in rows]
    with pytest.raises(
        UserError, match=f"{len(rows)} of {len(rows)} rows cannot be used .*1.5 apples"
    ):
        evaluated("--input", str(write_table(tmp_path / "bad.data", schema, bad)))

    def fail(*_: Any) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluate, "page", fail)
    with pytest.raises(KeyboardInterrupt):
        evaluated()
    assert json.loads((run_dir / "evaluation/evaluation.json").read_text("utf-8")) == before
    assert {each.name for each in run_dir.iterdir()} == {"model", "evaluation"}


def test_a_model_of_other_columns_is_refused(run_dir: Path, schema: Schema, tmp_path: Path) -> None:
    arguments = ["--train", "t.csv", "--output", "o", "--model", str(tmp_path / "model")]
    with pytest.raises(
        UserError, match="model has no assets.extra/statistics.json; expected a mod"
    ):
        evaluate.main(arguments)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "COLUMNS", {**features.COLUMNS, schema.used[0]: "ignore"})
        arguments[-1] = str(run_dir / "model")
        with pytest.raises(UserError, match="have different columns: .*record/features.py, or"):
            evaluate.main(arguments)
