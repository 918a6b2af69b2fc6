"""What prepared data is: a digest of its content; and whether it is current: what it was made from."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import trainer
from conftest import Row, write_table
from trainer import features, prepare
from trainer.data.schema import Schema
from trainer.data.statistics import read_statistics
from trainer.preprocessing import analyze, provenance

STALE = """
import json, sys
from trainer.prepare import stale_reasons
print(json.dumps(stale_reasons(sys.argv[1:])))
assert not {"numpy", "pyarrow", "duckdb", "sqlglot", "tensorflow"} & set(sys.modules)
"""


def prepared_in(folder: Path, schema: Schema, rows: list[Row], *options: str) -> list[str]:
    """Prepare a table in a folder; return the arguments."""
    folder.mkdir(exist_ok=True)
    train = write_table(folder / "train.data", schema, rows)
    arguments = ["--train", str(train), "--output", str(folder / "output"), *options]
    assert prepare.main([*arguments, "-q"]) == 0
    return arguments


def fingerprint_in(folder: Path, schema: Schema) -> str:
    return read_statistics(folder / "output", schema).fingerprint


def test_a_touched_table_is_prepared_again_with_the_same_fingerprint(
    schema: Schema, rows: list[Row], tmp_path: Path
) -> None:
    arguments = prepared_in(tmp_path, schema, rows)
    before = fingerprint_in(tmp_path, schema)
    os.utime(tmp_path / "train.data", (1, 1))
    assert prepare.stale_reasons(arguments)
    assert prepare.main([*arguments, "-q", "--reuse"]) == 0
    assert prepare.stale_reasons(arguments) == []
    assert fingerprint_in(tmp_path, schema) == before


def test_the_data_of_a_fold_is_not_that_of_the_whole_table(
    schema: Schema, rows: list[Row], tmp_path: Path
) -> None:
    *arguments, flag, fold = prepared_in(tmp_path, schema, rows, "--fold", "1/2")
    assert prepare.stale_reasons([*arguments, flag, fold]) == []
    assert prepare.stale_reasons(arguments) == ["made with --fold [1, 2], now absent"]


def test_other_content_has_another_fingerprint(
    schema: Schema, rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared_in(tmp_path / "one", schema, rows)
    prepared_in(tmp_path / "two", schema, rows[1:])
    # As an edit of the code that prepares would.
    monkeypatch.setattr(analyze, "boundaries", lambda values, count: (0.25, 0.75))
    prepared_in(tmp_path / "three", schema, rows)
    names = ["one", "two", "three"] if schema.numeric else ["one", "two"]
    assert len({fingerprint_in(tmp_path / name, schema) for name in names}) == len(names)


def test_mean_and_deviation_do_not_depend_on_the_order_of_their_sum() -> None:
    for mean, deviation in ((1 / 3, 1.0), (1e-18, 2.0), (123456789.123456, 0.1), (0.0, 1e-9)):
        noisy = (mean + 1e-15 * max(mean, deviation), deviation * (1 + 1e-15))
        assert analyze.stable(mean, deviation) == analyze.stable(*noisy)
    assert analyze.stable(2 / 3, 1e-3)[0] == pytest.approx(2 / 3, rel=1e-6)
    assert analyze.stable(None, None) == (0.0, 1.0)


def test_no_local_path_is_in_what_is_uploaded(
    schema: Schema, rows: list[Row], tmp_path: Path
) -> None:
    prepared_in(tmp_path / "project", schema, rows)
    for path in (tmp_path / "project" / "output").rglob("*"):
        assert path.is_dir() or str(tmp_path).encode() not in path.read_bytes()
    assert (tmp_path / "project" / ".output.source.json").is_file()


def test_what_is_current_has_no_stale_reasons(
    schema: Schema, rows: list[Row], tmp_path: Path
) -> None:
    arguments = prepared_in(tmp_path, schema, rows)
    assert prepare.stale_reasons(arguments) == []
    moved = [*arguments[:3], str(tmp_path / "elsewhere")]
    assert prepare.stale_reasons(moved) == ["nothing is prepared yet"]


def test_a_table_that_changed_is_a_stale_reason(
    schema: Schema, rows: list[Row], tmp_path: Path
) -> None:
    arguments = prepared_in(tmp_path, schema, rows)
    train = write_table(tmp_path / "train.data", schema, rows[1:])
    assert prepare.stale_reasons(arguments) == [f"the table {train} has changed since"]
    train.unlink()
    assert prepare.stale_reasons(arguments) == [f"the table {train} is gone"]
    [reason] = prepare.stale_reasons([*arguments, "--train", str(tmp_path / "other.data")])
    assert reason == f"made with the train table {train}, now {tmp_path / 'other.data'}"


def test_another_option_is_a_stale_reason(schema: Schema, rows: list[Row], tmp_path: Path) -> None:
    arguments = prepared_in(tmp_path, schema, rows)
    split = f"group:{schema.used[0]}"
    test = str(write_table(tmp_path / "test.data", schema, rows))
    changed = ["--eval-share", "0.2", "--deduplicate", "--test", test, "--memory-mb", "999"]
    assert prepare.stale_reasons([*arguments, *changed, "--split", split]) == [
        "made with --eval-share 0.1, now 0.2",
        f"made with --split random, now {split}",
        "made with --deduplicate False, now True",
        f"made with the test table absent, now {test}",
    ]


def test_other_features_are_a_stale_reason(
    schema: Schema, rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = prepared_in(tmp_path, schema, rows)
    first, *others = features.COLUMNS.items()
    monkeypatch.setattr(features, "COLUMNS", dict([*others, first]))
    [reason] = prepare.stale_reasons(arguments)
    assert reason.startswith("made from another features.py (COLUMNS in the order: [")
    monkeypatch.setattr(features, "COLUMNS", {**dict(others), first[0]: "ignore"})
    monkeypatch.setattr(features, "MISSING", ["none"])
    [reason] = prepare.stale_reasons(arguments)
    assert f"({first[0]}: {first[1]}, now ignore, MISSING: [" in reason


def test_columns_that_came_or_went_are_named() -> None:
    before, after = {"a": "numeric"}, {"b": "hashed"}
    expected = ["a: numeric, now absent", "b: absent, now hashed"]
    assert [*provenance.differences(before, after, ": ")] == expected


def test_a_folder_without_its_record_is_not_current(
    schema: Schema, rows: list[Row], tmp_path: Path
) -> None:
    arguments = prepared_in(tmp_path, schema, rows)
    record = tmp_path / ".output.source.json"
    content = json.loads(record.read_text(encoding="utf-8"))
    for other in ({"fingerprint": "x"}, {}):
        record.write_text(json.dumps({**content, **other} if other else "{"), encoding="utf-8")
        [reason] = prepare.stale_reasons(arguments)
        assert reason == f"{record} does not record what it was made from"
    record.write_text(json.dumps({"fingerprint": content["fingerprint"]}), encoding="utf-8")
    assert prepare.stale_reasons(arguments) == ["made by other preparing code"]


def test_other_versions_are_a_stale_reason_where_they_are_known(
    schema: Schema, rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = prepared_in(tmp_path, schema, rows)
    installed = provenance.versions()
    monkeypatch.setattr(provenance, "versions", lambda: {**installed, "duckdb": "99"})
    [reason] = prepare.stale_reasons(arguments)
    assert reason == f"made with duckdb {installed['duckdb']}, now 99"
    monkeypatch.setattr(provenance, "versions", dict)
    assert prepare.stale_reasons(arguments) == []


@pytest.mark.parametrize("edited", ["", "preprocessing/sql.py", "data/shards.py", "prepare.py"])
def test_edited_code_is_a_stale_reason(
    edited: str, schema: Schema, rows: list[Row], tmp_path: Path
) -> None:
    arguments = prepared_in(tmp_path / "data", schema, rows)
    package = tmp_path / "trainer"
    shutil.copytree(Path(trainer.__file__).parent, package)
    if edited:
        with (package / edited).open("a", encoding="utf-8") as file:
            file.write("\n# edited\n")
    command = [sys.executable, "-c", STALE, *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert ("made by other preparing code" in json.loads(done.stdout)) == bool(edited)


def test_the_record_is_of_everything_that_a_schema_holds(schema: Schema, tmp_path: Path) -> None:
    request = provenance.Request(
        tmp_path / "x", None, tmp_path / "y", 0.1, 0.01, deduplicate=False, memory_mb=1
    )
    recorded = provenance.source_of(request, schema)
    names = {field.name.upper() for field in dataclasses.fields(schema)} - {"COLUMNS"}
    assert names <= set(recorded["features"]) and recorded["columns"] == schema.columns


def test_the_digest_covers_names_and_content(tmp_path: Path) -> None:
    def digest_of(**content: str) -> str:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        for name, text in content.items():
            (folder / name).write_text(text, encoding="utf-8")
        return provenance.digest(folder, reversed(sorted(folder.iterdir())))

    assert digest_of(a="1", b="2") == digest_of(b="2", a="1")
    others = [digest_of(a="1", b="2"), digest_of(a="2", b="1"), digest_of(a="12", b="")]
    assert len({*others, digest_of(a="1"), digest_of(a="1", c="2")}) == 5
