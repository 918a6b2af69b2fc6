"""`trainer.evaluate` on tables of known columns: the rows that were held out, and what is shown of each kind."""

import json
from pathlib import Path

import pytest
from declared_tables import declare, labels
from declared_tables import prepared as prepared_beside
from evaluating import check_parity
from trainer import evaluate, features
from trainer.data.schema import read_schema
from trainer.data.statistics import read_statistics
from trainer.evaluation import measures
from trainer.model import Model, export
from trainer.run.errors import UserError
from trainer.settings import Settings


@pytest.mark.parametrize(
    ("split", "rows_of"), [("random", "eval"), ("time:day", "eval"), ("column:part", "test")]
)
def test_the_rows_are_the_held_out_ones_of_training_or_refused(
    split: str, rows_of: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = {
        "note": "ignore",
        "part": "ignore",
        "day": "datetime",
        "plan": "categorical",
        "size": "numeric",
    }
    declare(monkeypatch, kinds, LABEL_SQL="RTRIM(label, '.')")
    cells = [
        f"{('', 'a', 'b')[n % 3]},{('train', 'train', 'eval', 'test')[n % 4]},2024-01-{1 + n % 28:02},{('basic', 'plus')[n % 2]},{n}.5,{label}."
        for n, label in enumerate(labels(200))
    ]
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["note,part,day,plan,size,y", *cells, ""]), encoding="utf-8")
    prepared_beside(table, "--split", split)
    own = read_schema(features)
    statistics = read_statistics(tmp_path / "output", own)
    model = Model(own, statistics, Settings(hidden_units=(8,), ensemble=1).for_rows(80, own.task))
    export(model, own, statistics, tmp_path / "run" / "model", is_chief=True)
    monkeypatch.setattr(measures, "RESAMPLES", 2)
    flags = ["--train", table, "--output", tmp_path / "output", "--model", tmp_path / "run/model"]
    arguments = [str(each) for each in (*flags, "-q", "--split", split, "--by", "note, part, day")]
    assert evaluate.main(arguments) == 0
    found = json.loads((tmp_path / "run/evaluation/evaluation.json").read_text("utf-8"))
    check_parity(found, model, tmp_path / "output" / rows_of, own)
    assert (found["source"]["rows_of"], found["source"]["chose_the_run"]) == (
        rows_of,
        rows_of == "eval",
    )
    assert rows_of == "eval" or {*found["slices"]["part"]} == {"test"}
    assert {*found["slices"]["note"]} == {"a", "b", "(missing)"}
    assert sum(each["rows"] for each in found["slices"]["note"].values()) == found["rows"]
    assert next(iter(found["slices"]["day"])).startswith("2024-01-")
    assert found["importance"].keys() == {"day", "plan", "size"}
    with table.open("a", encoding="utf-8") as file:
        file.write(cells[0] + "\n")
    with pytest.raises(
        UserError, match="does not hold the data of the model .the table .* changed"
    ):
        evaluate.main(arguments)


def test_columns_of_each_kind_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = {"size": "numeric", "day": "datetime", "plan": "categorical", "user": "hashed"}
    declare(monkeypatch, {**kinds, "note": "text", "none": "numeric"}, TASK="regression")
    monkeypatch.setattr(measures, "RESAMPLES", 2)
    # The first and the last date there are, which float32 rounds to others.
    days_of = ("9999-12-31 23:59", "1000-01-01", "")
    lines = [
        f"{n}.5,{days_of[n % 3]},{('', 'a$', 'b<i>')[n % 4 % 3]},u{n},some <i> $ words,,{n % 7}"
        for n in range(200)
    ]
    table, run = tmp_path / "table.csv", tmp_path / "run"
    table.write_text("\n".join([",".join([*features.COLUMNS, "y"]), *lines, ""]), encoding="utf-8")
    prepared_beside(table)
    own = read_schema(features)
    statistics = read_statistics(tmp_path / "output", own)
    model = Model(own, statistics, Settings(hidden_units=(8,), ensemble=1).for_rows(80, own.task))
    export(model, own, statistics, run / "model", is_chief=True)
    flags = ["--train", table, "--input", table, "--output", tmp_path / "output", "-q"]
    assert evaluate.main([*map(str, flags), "--model", str(run / "model")]) == 0
    found = json.loads((run / "evaluation/evaluation.json").read_text("utf-8"))
    columns = {*kinds, "none"}
    assert found["partial_dependence"].keys() == found["drift"].keys() == columns
    assert found["partial_dependence"]["day"]["values"][-1].startswith("9999-12-31 23:59:00")
    for each in found["partial_dependence"].values():
        assert len(each["predictions"]["prediction"]) == len(each["values"]) > 0
    assert not any(each["drifted"] for each in found["drift"].values())
    page = (run / "evaluation/report.html").read_text("utf-8")
    assert "<i>" not in page
    for name in columns:
        assert f"<b>Errors by {name}</b>" in page and f"<b>Mean prediction by {name}</b>" in page
