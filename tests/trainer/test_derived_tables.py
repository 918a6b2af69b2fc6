"""Derived columns from the table to the prediction: split, statistics, evaluation, rows that are refused."""

import io
import json
import random
import re
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any, NamedTuple

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
RAW = ("fee", "start", "end", "plan")


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
def declared(monkeypatch: pytest.MonkeyPatch) -> None:
    """features.py declares the columns of loans."""
    declare(monkeypatch, KINDS_OF_LOANS, DERIVED=DERIVED)


@pytest.fixture
def table(declared: None, tmp_path: Path) -> Path:
    return written(loans(600, random.Random(0)), tmp_path / "table.csv")


class Trained(NamedTuple):
    """A run on a table of loans."""

    table: Path
    statistics: dict[str, Any]
    job: Path
    printed: str


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("loans")
    table = written(loans(600, random.Random(0)), folder / "table.csv")
    flags = ["--data-dir", str(folder / "output"), "--job-dir", str(folder / "job")]
    flags += ["--quality", "fast", "--hidden-units", "8"]
    with pytest.MonkeyPatch.context() as patch, redirect_stderr(io.StringIO()) as printed:
        declare(patch, KINDS_OF_LOANS, DERIVED=DERIVED)
        statistics = prepared(table)
        assert task.main(flags) == 0  # which compares the exported model with the network
    return Trained(table, statistics, folder / "job", printed.getvalue())


def asked(count: int) -> list[dict[str, Any]]:
    """Return rows without labels, in the columns that the model reads."""
    return [{name: row[name] for name in RAW} for row in loans(count, random.Random(1))]


def test_derived_columns_have_statistics_and_no_cells_in_the_examples(trained: Trained) -> None:
    found = trained.statistics
    assert [*found["numeric"]] == ["fee", "rate", "late", "start", "latest"]
    assert {*found["vocabularies"]["short"]} == {"other", "plus", "free"}
    assert (found["numeric"]["late"]["minimum"], found["numeric"]["late"]["maximum"]) == (0, 1)
    assert found["numeric"]["rate"]["missing"] > 30 and found["numeric"]["latest"]["missing"] > 30
    lines = (trained.table.parent / "output" / files.EXAMPLES).read_text("utf-8").splitlines()
    examples = [json.loads(line) for line in lines]
    assert [tuple(each) for each in examples] == [RAW] * 10
    assert {type(each["fee"]) for each in examples} == {float}


def test_a_model_takes_the_columns_that_its_expressions_read(
    trained: Trained, declared: None
) -> None:
    assert {*input_parameters(trained.job / "model")} == {*RAW}
    assert read_schema(features).raw.used == RAW
    unused = r"not used +note, row: ignore in trainer/features.py\n"
    assert re.search(unused, trained.printed)


def test_an_evaluation_is_split_by_derived_columns(
    trained: Trained, declared: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measures, "RESAMPLES", 2)
    output, model = trained.table.with_name("output"), trained.job / "model"
    flags = ["--train", trained.table, "--output", output, "--model", model, "-q"]
    assert evaluate.main([*map(str, flags), "--by", "short,rate,late,note,end"]) == 0
    document = json.loads((trained.job / "evaluation/evaluation.json").read_text("utf-8"))
    assert {*document["importance"]} == {*RAW}
    assert next(iter(document["importance"])) in ("fee", "end")
    assert {*document["slices"]["short"]} == {"other", "plus", "free"}
    assert {*document["slices"]["note"]} == {"x"}
    assert {*document["slices"]["late"]} == {"0", "1", "(missing)"}
    for slices in document["slices"].values():
        assert sum(each["rows"] for each in slices.values()) == document["rows"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"end": "tomorrow"}, "row 4, column 'end' is 'tomorrow'; expected a date such as"),
        ({"rate": 1}, "do not fit the model .'rate': unknown"),
    ],
)
def test_a_row_that_no_expression_can_read_is_not_predicted(
    trained: Trained, declared: None, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    rows = [{**dict.fromkeys(change, ""), **row} for row in asked(30)]
    rows[3].update(change)
    path = written(rows, tmp_path / "rows.csv")
    with pytest.raises(UserError, match=message):
        predict.main(["--model", str(trained.job / "model"), "--input", str(path)])


def test_predict_computes_derived_columns_as_the_signature_does(
    trained: Trained, declared: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, model = asked(29), trained.job / "model"
    path = written(rows, tmp_path / "rows.csv")
    assert predict.main(["--model", str(model), "--input", str(path), "-q"]) == 0
    predicted = [json.loads(line)["probability"] for line in capsys.readouterr().out.splitlines()]
    texts = [{name: cells.text(cell) for name, cell in row.items()} for row in rows]
    expected = [each["probability"] for each in load_and_predict(model, texts)]
    np.testing.assert_allclose(predicted, expected, rtol=1e-4)


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
