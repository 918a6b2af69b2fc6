"""Drift of new rows against a model's training rows, by `trainer.monitor`: what is named, what is not, and the exit code."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from declared_tables import CUSTOMERS, customers, declare, prepared
from trainer import features, monitor, predict
from trainer.data.schema import read_schema
from trainer.data.statistics import Statistics, parsed, read_statistics
from trainer.evaluation import measures
from trainer.model import Model, export
from trainer.run.errors import EXIT_DRIFT, UserError
from trainer.serving import STATISTICS
from trainer.settings import Settings

Row = dict[str, Any]
ROWS = 3_000


def rows_of(count: int, seed: int) -> list[Row]:
    """Return rows of raw cells, a tenth of the ages, plans and notes missing, with labels."""
    columns = customers(count, seed)
    columns["age"] = [None if np.isnan(each) else each for each in columns["age"].tolist()]
    days = np.datetime64("1970-01-01") + columns["day"].astype("timedelta64[D]")
    columns |= {"day": days.astype(str).tolist(), "zeros": columns["zeros"].tolist()}
    columns["note"] = [f"note {n}" if n % 10 else "" for n in range(count)]
    columns["y"] = [("yes." if n % 3 else "no.") for n in range(count)]
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def write(path: Path, rows: list[Row], *without: str) -> Path:
    kept = [{k: each for k, each in row.items() if k not in without} for row in rows]
    path.write_text("".join(f"{json.dumps(each)}\n" for each in kept), encoding="utf-8")
    return path


def exported(folder: Path) -> Path:
    """Export a model that was not trained, for the data prepared in a folder; return its folder."""
    schema = read_schema(features)
    statistics = read_statistics(folder / "output", schema)
    settings = Settings(hidden_units=(8,), ensemble=1).for_rows(ROWS, schema.task)
    keras.utils.set_random_seed(0)
    model = Model(schema, statistics, settings)
    for variable in model.network.trainable_variables:  # others may predict far from the labels
        variable.assign(0.1 * variable)
    export(model, schema, statistics, folder / "model", is_chief=True)
    return folder / "model"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a model that was not trained, whose run says that its AUC is 0.75."""
    folder = tmp_path_factory.mktemp("monitor")
    table = write(folder / "table.jsonl", rows_of(ROWS, 1))
    with pytest.MonkeyPatch.context() as patch:
        kinds = {**CUSTOMERS, "note": "text", "id": "ignore"}
        declare(patch, {k: kinds[k] for k in kinds if k != "id"}, LABEL_SQL="RTRIM(label, '.')")
        prepared(table)
        exported(folder)
        (folder / "metrics.json").write_text('{"auc": 0.75}', encoding="utf-8")
        # Rows of requests lack it.
        patch.setattr(features, "COLUMNS", kinds)
        patch.setattr(measures, "RESAMPLES", 2)
        yield folder / "model"


def monitored(
    model: Path, table: Path, capsys: pytest.CaptureFixture[str], *more: str
) -> tuple[int, dict[str, Any]]:
    """Return the exit code and what `--json` prints."""
    code = monitor.main(["--model", str(model), "--input", str(table), "--json", *more])
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return code, document


@pytest.mark.parametrize("count", [1, 50, ROWS])
def test_rows_like_those_of_training_have_no_drift(
    count: int, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write(tmp_path / "rows.jsonl", rows_of(count, 2), "y")
    code, found = monitored(model, table, capsys)
    assert (code, found["rows"], found["drifted"], found["threshold"]) == (0, count, [], 0.3)
    assert found["columns"].keys() == {*CUSTOMERS, "note"} and not found["predictions"]["drifted"]
    assert (found["labels"], found["metrics"]) == (0, {})


def test_drift_in_three_columns_is_named_and_no_other(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = rows_of(500, 3)
    for n, row in enumerate(rows):
        row["age"] = row["age"] and row["age"] + 25
        row["plan"] = "never seen" if n % 2 else row["plan"]
        row["user"] = None if n % 5 else row["user"]
    code, found = monitored(model, write(tmp_path / "rows.jsonl", rows, "y"), capsys)
    assert code == EXIT_DRIFT == 3
    assert {*found["drifted"]} == {"age", "plan", "user"} == {*[*found["columns"]][:3]}
    columns = found["columns"]
    assert columns["age"]["distance"] == columns["age"]["jensen_shannon"] > 0.3
    assert columns["plan"]["unseen"] == 0.5 <= columns["plan"]["distance"] + 0.1
    assert columns["user"]["missing"] == 0.8 and columns["user"]["distance"] is None
    assert columns["note"] == {
        **dict.fromkeys(("unseen", "training_missing")),
        **{"drifted": False, "missing": 0.1},
    }
    # What is far at one threshold is near enough at another.
    code, found = monitored(model, tmp_path / "rows.jsonl", capsys, "--threshold", "0.95")
    assert (code, found["drifted"]) == (0, [])


def test_the_table_is_narrow_and_begins_with_what_drifted(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{**row, "day": "2150-01-01"} for row in rows_of(200, 4)]
    arguments = ["--model", str(model), "--input", str(write(tmp_path / "rows.jsonl", rows, "y"))]
    assert monitor.main(arguments) == EXIT_DRIFT
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == "" and max(map(len, lines)) <= 80
    assert lines[0].split() == ["distance", "limit", "missing", "before", "unseen"]
    assert lines[1].split()[0] == "day" and lines[1].split()[-1] == "1.000"
    assert "warning: drift beyond 0.3 and chance: 'day'" in lines
    assert monitor.main([*arguments, "-q"]) == EXIT_DRIFT
    assert capsys.readouterr().err.splitlines() == ["warning: drift beyond 0.3 and chance: 'day'"]


def test_the_metric_is_that_of_the_rows_whose_label_has_arrived(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{**row, "y": row["y"] if n % 4 else None} for n, row in enumerate(rows_of(400, 5))]
    table = write(tmp_path / "rows.jsonl", rows)
    code, found = monitored(model, table, capsys)
    assert (code, found["labels"], found["rows"]) == (0, 300, 400)
    assert found["metrics"]["auc"]["run"] == 0.75 and found["metrics"]["f1"]["run"] is None
    assert predict.main(["--model", str(model), "--input", str(table), "-q"]) == 0
    labels = [json.loads(line)["label"] for line in capsys.readouterr().out.splitlines()]
    right = [f"{label}." == row["y"] for label, row in zip(labels, rows, strict=True) if row["y"]]
    assert found["metrics"]["accuracy"]["value"] == pytest.approx(np.mean(right))


@pytest.mark.parametrize("labels", [[None, None, None], ["yes.", "yes.", None], ["?!", "x", "y"]])
def test_labels_that_give_no_metric_are_a_warning(
    labels: list[str], model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{**row, "y": y} for row, y in zip(rows_of(3, 6), labels, strict=True)]
    arguments = ["--model", str(model), "--input", str(write(tmp_path / "rows.jsonl", rows))]
    assert monitor.main([*arguments, "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["metrics"] == {} and "warning: no metric: " in err


def test_predictions_that_drifted_are_named(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "model"
    shutil.copytree(model, other)
    document = json.loads((other / STATISTICS).read_text(encoding="utf-8"))
    document["label"]["counts"] = [ROWS - 1, 1]
    (other / STATISTICS).write_text(json.dumps(document), encoding="utf-8")
    table = write(tmp_path / "rows.jsonl", rows_of(500, 7), "y")
    code, found = monitored(other, table, capsys)
    assert (code, found["drifted"]) == (EXIT_DRIFT, [])
    assert found["predictions"]["drifted"]
    assert found["predictions"]["distance"] > found["predictions"]["limit"] > 0.3


def statistics_of(model: Path, **label: Any) -> Statistics:
    document = json.loads((model / STATISTICS).read_text(encoding="utf-8"))
    return parsed({**document, "label": {**document["label"], **label}})


def test_the_distance_of_predictions_is_that_worked_by_hand(model: Path) -> None:
    three = statistics_of(model, classes=["a", "b", "c"], counts=[500, 300, 200])
    scores = np.tile([0.1, 0.3, 0.6], (100, 1))
    found = monitor.of_predictions(scores, three, 0.3)
    assert found["distance"] == pytest.approx(0.4) and not found["drifted"]
    number = statistics_of(model, classes=[], counts=[], mean=10.0, deviation=4.0)
    for shift, drifted in ((1.0, False), (4.0, True)):
        found = monitor.of_predictions(np.full(1_000, 10.0 + shift), number, 0.3)
        assert found["distance"] == pytest.approx(shift / 4) and found["drifted"] == drifted
        assert found["limit"] == pytest.approx(
            0.3 + 2 * (1 / 1_000 + 1 / number.rows["train"]) ** 0.5
        )


@pytest.mark.parametrize(("task", "metric"), [("multiclass", "accuracy"), ("regression", "rmse")])
def test_the_other_tasks_have_predictions_and_a_metric(
    task: str,
    metric: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    declare(monkeypatch, CUSTOMERS, TASK=task)
    monkeypatch.setattr(measures, "RESAMPLES", 2)
    rows = [{**row, "y": n % 3} for n, row in enumerate(rows_of(600, 9))]
    table = write(tmp_path / "table.jsonl", rows, "note")
    prepared(table)
    code, found = monitored(exported(tmp_path), table, capsys)
    assert (code, found["labels"]) == (0, 600)
    assert 0 <= found["predictions"]["distance"] < found["predictions"]["limit"]
    assert found["metrics"][metric]["value"] > 0 and found["metrics"][metric]["run"] is None


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"age": 1}, {"age": "a lot"}], "row 2, column 'age' is 'a lot'; expected a number"),
        ([{"age": 1e300}], "row 1, column 'age'"),
        ([{"day": "tomorrow"}], "row 1, column 'day' is 'tomorrow'; expected a date"),
        ([{"plan": {"a": 1}}], "row 1, column 'plan' is {'a': 1}; expected text"),
        ([{"agee": 1}], "'agee'"),
        ([], "without rows"),
    ],
)
def test_invalid_rows_are_refused(
    rows: list[Row], message: str, model: Path, tmp_path: Path
) -> None:
    table = write(tmp_path / "rows.jsonl", rows)
    with pytest.raises(UserError) as error:
        monitor.main(["--model", str(model), "--input", str(table), "-q"])
    assert message in str(error.value)


def test_strange_values_are_unseen(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    strange = ["\ud800!", "\x1b[31m", "a\nb", "x" * 10_000, "None", "", "null"]
    rows = [{**row, "city": strange[n % 7], "y": "\ud800"} for n, row in enumerate(rows_of(700, 8))]
    code, found = monitored(model, write(tmp_path / "rows.jsonl", rows), capsys)
    assert (code, found["drifted"]) == (EXIT_DRIFT, ["city"])
    assert found["columns"]["city"]["unseen"] == pytest.approx(6 / 7)
    assert found["columns"]["city"]["missing"] == pytest.approx(1 / 7)


@pytest.mark.parametrize("threshold", ["-0.1", "1", "nan", "high"])
def test_a_threshold_outside_of_0_to_1_is_refused(threshold: str, model: Path) -> None:
    with pytest.raises(SystemExit) as end:
        monitor.main(["--model", str(model), "--input", "x", f"--threshold={threshold}"])
    assert end.value.code == 2
