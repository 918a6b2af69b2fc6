"""`trainer.evaluate` on tables of known columns: the rows that were held out, and what is shown of each kind."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from declared_tables import declare, labels
from declared_tables import prepared as prepared_beside
from evaluating import check_parity
from trainer import evaluate, features
from trainer.data.schema import Schema, read_schema
from trainer.data.statistics import read_statistics
from trainer.evaluation import measures
from trainer.model import Model, export
from trainer.run.errors import UserError
from trainer.settings import Settings


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "RESAMPLES", 2)


def written(path: Path, lines: Sequence[str]) -> Path:
    """Write a table whose columns are those of features.py and the label."""
    path.write_text("\n".join([",".join([*features.COLUMNS, "y"]), *lines, ""]), encoding="utf-8")
    return path


def exported_beside(table: Path) -> tuple[Model, Schema]:
    """Export a small model that was not trained; its data is prepared beside the table."""
    own = read_schema(features)
    statistics = read_statistics(table.with_name("output"), own)
    model = Model(own, statistics, Settings(hidden_units=(8,), ensemble=1).for_rows(80, own.task))
    export(model, own, statistics, table.with_name("run") / "model", is_chief=True)
    return model, own


def evaluated(table: Path, *flags: str) -> dict[str, Any]:
    """Evaluate the model that was exported beside a table; return what evaluation.json holds."""
    output, run = table.with_name("output"), table.with_name("run")
    given = ["--train", table, "--output", output, "--model", run / "model", *flags]
    assert evaluate.main([*map(str, given)]) == 0
    found: dict[str, Any] = json.loads((run / "evaluation/evaluation.json").read_text("utf-8"))
    return found


@pytest.fixture
def parted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table whose rows have a part, a day, and a note that is not used."""
    kinds = {"note": "ignore", "part": "ignore", "day": "datetime"}
    kinds |= {"plan": "categorical", "size": "numeric"}
    declare(monkeypatch, kinds, LABEL_SQL="RTRIM(label, '.')")
    notes, parts = ("", "a", "b"), ("train", "train", "eval", "test")
    lines = [
        f"{notes[n % 3]},{parts[n % 4]},2024-01-{1 + n % 28:02},{('basic', 'plus')[n % 2]},{n}.5,{label}."
        for n, label in enumerate(labels(200))
    ]
    return written(tmp_path / "table.csv", lines)


@pytest.mark.parametrize(
    ("split", "rows_of"), [("random", "eval"), ("time:day", "eval"), ("column:part", "test")]
)
def test_the_rows_are_the_held_out_ones_of_training_or_refused(
    split: str, rows_of: str, parted: Path
) -> None:
    prepared_beside(parted, "--split", split)
    model, own = exported_beside(parted)
    flags = ("--split", split, "--by", "note, part, day")
    found = evaluated(parted, *flags)
    check_parity(found, model, parted.with_name("output") / rows_of, own)
    source, slices = found["source"], found["slices"]
    assert (source["rows_of"], source["chose_the_run"]) == (rows_of, rows_of == "eval")
    assert rows_of == "eval" or {*slices["part"]} == {"test"}
    assert {*slices["note"]} == {"a", "b", "(missing)"}
    assert sum(each["rows"] for each in slices["note"].values()) == found["rows"]
    assert next(iter(slices["day"])).startswith("2024-01-")
    assert found["importance"].keys() == {"day", "plan", "size"}
    card = parted.with_name("run").joinpath("evaluation/MODEL_CARD.md").read_text("utf-8")
    assert "Columns by kind: ignore: note, part; datetime: day;" in card
    page = parted.with_name("run").joinpath("evaluation/report.html").read_text("utf-8")
    assert "<h2>By note</h2>" in page
    with parted.open("a", encoding="utf-8") as file:
        file.write(",train,2024-01-01,basic,0.5,no.\n")
    changed = "does not hold the data of the model .the table .* changed"
    with pytest.raises(UserError, match=changed):
        evaluated(parted, *flags)


def test_columns_of_each_kind_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = {"size": "numeric", "day": "datetime", "plan": "categorical", "user": "hashed"}
    declare(monkeypatch, {**kinds, "note": "text", "none": "numeric"}, TASK="regression")
    # The first and the last date there are, which float32 rounds to others.
    days_of = ("9999-12-31 23:59", "1000-01-01", "")
    lines = [
        f"{n}.5,{days_of[n % 3]},{('', 'a$', 'b<i>')[n % 4 % 3]},u{n},some <i> $ words,,{n % 7}"
        for n in range(200)
    ]
    table = written(tmp_path / "table.csv", lines)
    prepared_beside(table)
    exported_beside(table)
    found, columns = evaluated(table, "--input", str(table)), {*kinds, "none"}
    assert found["source"]["chose_the_run"] and "it was trained on" in found["source"]["text"]
    assert found["partial_dependence"].keys() == found["drift"].keys() == columns
    assert found["partial_dependence"]["day"]["values"][-1].startswith("9999-12-31 23:59:00")
    for each in found["partial_dependence"].values():
        assert len(each["predictions"]["prediction"]) == len(each["values"]) > 0
    assert not any(each["drifted"] for each in found["drift"].values())
    page = (tmp_path / "run/evaluation/report.html").read_text("utf-8")
    assert "<i>" not in page
    for name in columns:
        assert f"<b>Errors by {name}</b>" in page and f"<b>Mean prediction by {name}</b>" in page


def test_what_is_written_is_named_and_no_file_that_is_gone(
    parted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with parted.open("a", encoding="utf-8") as file:
        file.write(",train,2024-01-01,basic,much,no.\n")
    prepared_beside(parted)
    exported_beside(parted)
    capsys.readouterr()
    evaluated(parted, "--threshold", "0.4", "--keep")
    printed = capsys.readouterr().err
    assert "much is not a finite number'\n" in printed
    assert "threshold 0.4 is written to " in printed
    evaluated(parted, "--threshold", "f1")
    assert capsys.readouterr().err.count("cannot be used") == 1  # the table is read once
    with pytest.raises(UserError, match="at most 0.10%; fix the file, or"):
        evaluated(parted, "--input", str(parted), "--max-rejected-share", "0.001")
