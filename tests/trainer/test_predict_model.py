"""Predictions of an exported model by `trainer.predict`."""

import json
from pathlib import Path
from typing import Any

import pytest
from trainer import predict
from trainer.data import files
from trainer.data.schema import Schema
from trainer.data.statistics import Statistics
from trainer.model import Model, export
from trainer.run.errors import UserError
from trainer.serving import SCORES
from trainer.settings import Settings


@pytest.fixture(scope="module")
def exported(
    schema: Schema, statistics: Statistics, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of a model that was not trained."""
    model = Model(schema, statistics, Settings(hidden_units=(8,)).for_rows(100))
    folder = tmp_path_factory.mktemp("model")
    export(model, schema, statistics, folder, is_chief=True)
    return folder


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Return what was printed as JSON lines."""
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_predict_prints_a_line_for_each_row(
    exported: Path, prepared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--model", str(exported), "--input", str(prepared / files.EXAMPLES)]
    assert predict.main(arguments) == 0
    assert len(lines_of(capsys)) == 10


def test_predict_takes_null_and_absent_columns_as_missing(
    exported: Path, schema: Schema, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = schema.used[0]
    path = tmp_path / "rows.jsonl"
    path.write_text(
        json.dumps({first: None}) + "\n\n" + json.dumps(dict.fromkeys(schema.used)) + "\n",
        encoding="utf-8",
    )
    assert predict.main(["--model", str(exported), "--input", str(path)]) == 0
    absent, null = lines_of(capsys)
    assert absent.keys() == null.keys()
    # Another row of a batch may take another vector instruction, which rounds the last bit otherwise.
    assert absent[SCORES[schema.task]] == pytest.approx(null[SCORES[schema.task]], rel=1e-5)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{oops", r"line 1, is not JSON .* expected a JSON object per line"),
        ("[1, 2]", r"line 1, is '\[1, 2\]'; expected a JSON object per line"),
        (
            '{"no such column": 1}',
            r"line 1, has the columns 'no such column'; expected columns of the model",
        ),
    ],
)
def test_predict_refuses_an_invalid_row(
    exported: Path, tmp_path: Path, line: str, message: str
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(line + "\n", encoding="utf-8")
    with pytest.raises(UserError, match=message):
        predict.main(["--model", str(exported), "--input", str(path)])
