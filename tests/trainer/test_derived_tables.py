"""Derived columns from the table to the prediction: split, statistics, evaluation, rows that are refused."""

import json
import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from declared_tables import declare, parquet, prepared, split_of
from trainer import evaluate, features, predict, prepare, task
from trainer.data import cells, files
from trainer.data.schema import read_schema
from trainer.evaluation import measures
from trainer.preprocessing.provenance import stale_reasons
from trainer.publish import load_and_predict
from trainer.run.errors import UserError
from trainer.serving import input_parameters

KINDS_OF_LOANS = {
    **{"fee": "numeric", "start": "datetime", "end": "ignore", "plan": "categorical", "note": "ignore", "row": "ignore"},
    **{"rate": "numeric", "late": "numeric", "short": "categorical", "latest": "datetime"},
}  # fmt: skip
DERIVED = {
    "rate": "fee / (1 + DAYS_BETWEEN(start, end))",
    "short": "IF(LENGTH(plan) < 5, LOWER(plan), 'other')",
    "late": "DAYS_BETWEEN(start, end) > 4",
    "latest": "GREATEST(start, end)",
}


def loans(count: int, choose: random.Random) -> list[dict[str, Any]]:
    """Return rows of a table, the label of which follows the rate."""
    rows = []
    for row in range(count):
        fee, days = choose.randrange(1, 100), choose.randrange(9)
        plan = choose.choice(["Plus", "BASIC", "Free", "?"])
        cells = {
            "fee": fee,
            "start": "2024-01-01",
            "end": f"2024-01-{1 + days:02}",
            "plan": plan,
            "note": "x",
            "row": row,
        }
        label = "yes" if fee / (1 + days) > 10 else "no"
        rows.append({**cells, **({"end": "?"} if row % 9 == 0 else {}), "y": label})
    return rows


def written(rows: Sequence[Mapping[str, Any]], path: Path) -> Path:
    lines = [",".join(map(str, each)) for each in ([*rows[0]], *(row.values() for row in rows))]
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    declare(monkeypatch, KINDS_OF_LOANS, DERIVED=DERIVED)
    return written(loans(600, random.Random(0)), tmp_path / "table.csv")


def test_a_model_with_derived_columns_is_trained_evaluated_and_asked(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = prepared(table)
    assert [*found["numeric"]] == ["fee", "rate", "late", "start", "latest"]
    assert {*found["vocabularies"]["short"]} == {"other", "plus", "free"}
    assert (found["numeric"]["late"]["minimum"], found["numeric"]["late"]["maximum"]) == (0, 1)
    assert found["numeric"]["rate"]["missing"] > 30 and found["numeric"]["latest"]["missing"] > 30
    output = table.parent / "output"
    raw = ["fee", "start", "end", "plan"]
    examples = [
        json.loads(line) for line in (output / files.EXAMPLES).read_text("utf-8").splitlines()
    ]
    assert [*map(list, examples)] == [raw] * 10 and {
        *map(type, (each["fee"] for each in examples))
    } == {float}
    job = tmp_path / "job"
    flags = [
        "--data-dir",
        str(output),
        "--job-dir",
        str(job),
        "--quality",
        "fast",
        "--hidden-units",
        "8",
    ]
    assert task.main(flags) == 0  # which compares the exported model with the network
    printed = capsys.readouterr().err
    assert re.search(r"not used +note, row: ignore in trainer/features.py\n", printed)
    schema = read_schema(features)
    model = job / "model"
    assert {*input_parameters(model)} == {*raw}
    arguments = [
        "--train",
        table,
        "--output",
        output,
        "--model",
        model,
        "-q",
        "--by",
        "short,rate,late,note,end",
    ]
    monkeypatch.setattr(measures, "RESAMPLES", 2)
    assert evaluate.main([*map(str, arguments)]) == 0
    document = json.loads((job / "evaluation/evaluation.json").read_text("utf-8"))
    assert {*document["importance"]} == {*raw}
    assert next(iter(document["importance"])) in ("fee", "end")
    assert {*document["slices"]["short"]} == {"other", "plus", "free"}
    assert {*document["slices"]["note"]} == {"x"}
    assert {*document["slices"]["late"]} == {"0", "1", "(missing)"}
    for slices in document["slices"].values():
        assert sum(each["rows"] for each in slices.values()) == document["rows"]
    rows = [{name: row[name] for name in raw} for row in loans(30, random.Random(1))]
    rows[3]["end"] = "tomorrow"
    asked = written(rows, tmp_path / "asked" / "rows.csv")
    with pytest.raises(
        UserError, match="row 4, column 'end' is 'tomorrow'; expected a date such as"
    ):
        predict.main(["--model", str(model), "--input", str(asked)])
    with pytest.raises(UserError, match="do not fit the model .'rate': unknown"):
        predict.main(
            ["--model", str(model), "--input", str(written([{**rows[0], "rate": 1}], asked))]
        )
    del rows[3]
    capsys.readouterr()
    assert predict.main(["--model", str(model), "--input", str(written(rows, asked)), "-q"]) == 0
    predicted = [json.loads(line)["probability"] for line in capsys.readouterr().out.splitlines()]
    texts = [{name: cells.text(cell) for name, cell in row.items()} for row in rows]
    session = load_and_predict(model, texts)
    np.testing.assert_allclose(predicted, [each["probability"] for each in session], rtol=1e-4)
    assert schema.raw.used == ("fee", "start", "end", "plan")


def test_a_row_stays_in_its_split_and_an_expression_makes_prepared_data_stale(
    table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "COLUMNS", {**features.COLUMNS, "row": "numeric"})
    with_rate = {row[1] for row in split_of(table, "-q")["eval"]}
    request = prepare.request_of(
        prepare.parser().parse_args(
            ["--train", str(table), "--output", str(table.with_name("output"))]
        )
    )
    assert not stale_reasons(request, read_schema(features))
    changed = {**DERIVED, "rate": "fee"}
    monkeypatch.setattr(features, "DERIVED", changed)
    assert re.search(
        "another features.py .DERIVED: .*", stale_reasons(request, read_schema(features))[0]
    )
    plain = {name: kind for name, kind in features.COLUMNS.items() if name not in DERIVED}
    declare(monkeypatch, plain, DERIVED={})
    assert {row[1] for row in split_of(table, "-q")["eval"]} == with_rate and len(with_rate) > 20


def test_a_cell_that_an_expression_cannot_read_rejects_its_row(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = loans(600, random.Random(0))
    rows[7]["end"] = "soon"
    assert prepared(written(rows, table))["rejected"] == 1
    assert "end: soon is not a date" in capsys.readouterr().err


def test_a_column_that_an_expression_alone_reads_has_no_nested_cells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, {"a": "ignore", "d": "numeric"}, DERIVED={"d": "a + 1"})
    nested = parquet(tmp_path / "t.parquet", ["a", "y"], [[[1]] * 9, ["yes", "no", "no"] * 3])
    with pytest.raises(UserError, match="column 'a' with nested cells"):
        prepared(nested)


def test_features_py_of_an_earlier_version_has_no_derived_columns(
    table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(
        monkeypatch, {name: kind for name, kind in KINDS_OF_LOANS.items() if name not in DERIVED}
    )
    monkeypatch.delattr(features, "DERIVED")
    schema = read_schema(features)
    assert schema.derived == {} and schema.raw is schema and not schema.expressions
    assert [*prepared(table)["numeric"]] == ["fee", "start"]
