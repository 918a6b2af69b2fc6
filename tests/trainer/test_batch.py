"""The ends of a batch job: instances with keys, and results that are joined by key, whatever their order."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from trainer import batch
from trainer.data import files, raw_rows
from trainer.data.schema import Schema
from trainer.run.errors import UserError


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def instances(prepared: Path, tmp_path: Path) -> list[dict[str, Any]]:
    path = tmp_path / "instances.jsonl"
    rows, output = str(prepared / files.EXAMPLES), str(tmp_path / "found.jsonl")
    assert batch.main(["--input", rows, "--instances", str(path), "--output", output]) == 0
    return lines_of(path)


def write_results(folder: Path, results: list[dict[str, Any]]) -> None:
    random.Random(0).shuffle(results)
    folder.mkdir(parents=True)
    for shard, part in enumerate((results[:3], results[3:])):
        path = folder / f"prediction.results-{shard:05d}-of-00002"
        path.write_text("".join(f"{json.dumps(each)}\n" for each in part))


def test_instances_are_cells_as_text_with_the_number_of_their_row(
    instances: list[dict[str, Any]], prepared: Path, schema: Schema
) -> None:
    examples = lines_of(prepared / files.EXAMPLES)
    assert [each["key"] for each in instances] == list(range(len(examples)))
    name = schema.used[0]
    for instance, example in zip(instances, examples, strict=True):
        assert {*instance} == {"key", *schema.used}
        assert all(type(instance[each]) is str for each in schema.used)
        assert (instance[name] == "") == (example[name] is None)


def test_results_are_joined_by_key(
    instances: list[dict[str, Any]], prepared: Path, schema: Schema, tmp_path: Path
) -> None:
    name, examples = schema.used[0], lines_of(prepared / files.EXAMPLES)
    write_results(
        tmp_path / "results" / "prediction-1",
        [{"key": each["key"], "prediction": {"score": each["key"] / 8}} for each in instances],
    )
    output = tmp_path / "found.jsonl"
    arguments = ["--input", str(prepared / files.EXAMPLES), "--results", str(tmp_path / "results")]
    assert batch.main([*arguments, "--keep", name, "--output", str(output)]) == 0
    found = lines_of(output)
    assert [each["score"] for each in found] == [key / 8 for key in range(len(examples))]
    assert [each[name] for each in found] == [each[name] for each in examples]


def test_rows_without_a_prediction_are_refused_or_counted(
    instances: list[dict[str, Any]],
    prepared: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_results(
        tmp_path / "results",
        [{"key": each["key"], "prediction": {"score": 1.0}} for each in instances[1:]],
    )
    output = tmp_path / "found.jsonl"
    arguments = ["--input", str(prepared / files.EXAMPLES), "--results", str(tmp_path / "results")]
    arguments += ["--output", str(output)]
    with pytest.raises(UserError, match="1 of 10 rows have no prediction; expected at most 0.00%"):
        batch.main(arguments)
    assert not output.exists()
    assert batch.main([*arguments, "--max-failed-share", "0.1"]) == 0
    assert "warning: 1 of 10 rows have no prediction" in capsys.readouterr().err
    assert [each["score"] for each in lines_of(output)] == [None] + [1.0] * 9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--output is None; expected .jsonl or"),
        (["--output", "found.txt"], "--output is found.txt; expected .jsonl or"),
        (["--output", "{file}/found.csv"], "cannot be written"),
        (["--output", "found.csv", "--max-failed-share", "nan"], "--max-failed-share is nan"),
        (["--output", "found.csv", "--keep", "nothing"], "no column 'nothing' to keep"),
    ],
)
def test_what_would_fail_after_the_job_is_refused_before_it(
    prepared: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    file = prepared / files.EXAMPLES
    given = ["--input", str(file), "--instances", str(tmp_path / "instances.jsonl")]
    with pytest.raises(UserError, match=message):
        batch.main(given + [each.format(file=file) for each in arguments])


@pytest.mark.parametrize("ends", [[], ["--instances", "a.jsonl", "--results", "b"]])
def test_one_end_of_a_job_is_named(ends: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        batch.main(["--input", "rows.csv", "--output", "found.csv", *ends])
    assert "--instances" in capsys.readouterr().err.splitlines()[-1]


def test_a_label_with_an_end_of_line_of_unicode_is_one_label(tmp_path: Path) -> None:
    tmp_path /= "results"
    write_results(tmp_path, [{"key": 0, "prediction": {"label": "a\u2028b"}}])
    path = tmp_path / "prediction.results-00000-of-00002"
    path.write_text(path.read_text().replace("\\u2028", "\u2028"), encoding="utf-8")
    assert batch.results_in(tmp_path) == {0: {"label": "a\u2028b"}}


@pytest.mark.parametrize("name", ["found.jsonl", "found.csv", "found.parquet"])
def test_all_rows_that_are_read_together_may_lack_a_prediction(
    name: str,
    instances: list[dict[str, Any]],
    prepared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(raw_rows, "BATCH_ROWS", 4)
    write_results(
        tmp_path / "results",
        [{"key": each["key"], "prediction": {"label": "a"}} for each in instances[4:]],
    )
    output = tmp_path / name
    arguments = ["--input", str(prepared / files.EXAMPLES), "--results", str(tmp_path / "results")]
    arguments += ["--max-failed-share", "0.5", "--output", str(output)]
    assert batch.main(arguments) == 0
    assert output.stat().st_size
