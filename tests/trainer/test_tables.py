"""Reading tables of any names, types and machines; each test brings its own columns."""

import contextlib
import datetime
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
import row_keys
from trainer import features, prepare
from trainer.data import files

DEFAULTS: dict[str, Any] = {
    "LABEL": "y",
    "TASK": "binary",
    "POSITIVE": "yes",
    "LABEL_SQL": "",
    "MISSING": ["?"],
    "DELIMITER": ",",
    "COMMENT": "",
    "HEADER": [],
}
ANYWHERE = """
import contextlib, json, locale, sys
from trainer import features, prepare
with contextlib.suppress(locale.Error):
    locale.setlocale(locale.LC_ALL, "")
for name, value in json.loads(sys.argv[1]).items():
    setattr(features, name, value)
sys.exit(prepare.main(sys.argv[2:]))
"""


def declare(patch: pytest.MonkeyPatch, columns: Mapping[str, str], **more: Any) -> None:
    """Have features.py declare these columns."""
    for name, value in {**DEFAULTS, "COLUMNS": dict(columns), **more}.items():
        patch.setattr(features, name, value)


def prepared(train: Path, *options: str) -> dict[str, Any]:
    """Prepare quietly beside the table; return the statistics."""
    output = train.parent / "output"
    assert prepare.main(["--train", str(train), "--output", str(output), "-q", *options]) == 0
    return dict(json.loads((output / files.STATISTICS).read_text(encoding="utf-8")))


def parquet(path: Path, names: list[str], columns: list[list[Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = [pyarrow.array(column) for column in columns]
    pyarrow.parquet.write_table(pyarrow.Table.from_arrays(arrays, names=names), path)
    return path


def labels(count: int) -> list[str]:
    return ["yes" if number % 3 else "no" for number in range(count)]


def test_the_key_of_a_row_is_that_of_its_text() -> None:
    keys = [row_keys.key_of(row) for row in row_keys.ROWS]
    assert keys == row_keys.KEYS
    texts = ["\x1f".join(row).encode() for row in row_keys.ROWS]
    assert keys == [int(hashlib.md5(text).hexdigest()[:15], 16) for text in texts]


NAMES = [
    ["Age", "age", "AGE"],
    ["straße", "STRASSE", "Straße"],
    ["İ", "i̇", "i"],
    ["a.b", "a", "b"],
    ['say "so"', "it's", "`x`"],
    ["p1", "p0", "p2"],
    ["label", "c1", "c0"],
    ["row_key", "split", "reason"],
    ["file", "", " "],
    ["x\ty", "x\ny", "x\\y"],
]


@pytest.mark.parametrize("names", NAMES, ids=ascii)
def test_columns_are_read_by_position(
    names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, dict.fromkeys(names, "numeric"))
    columns = [[10.0 * place + number % 7 for number in range(90)] for place in range(3)]
    table = parquet(tmp_path / "parquet" / "x.parquet", [*names, "y"], [*columns, labels(90)])
    for statistics in (prepared(table), prepared(as_csv(table, tmp_path / "csv" / "x.csv"))):
        minima = {name: column["minimum"] for name, column in statistics["numeric"].items()}
        assert minima == {names[0]: 0.0, names[1]: 10.0, names[2]: 20.0}


def as_csv(table: Path, path: Path) -> Path:
    import csv

    path.parent.mkdir()
    content = pyarrow.parquet.read_table(table)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(content.column_names)
        writer.writerows(zip(*(column.to_pylist() for column in content.columns), strict=True))
    return path


def test_a_folder_named_like_a_partition_adds_no_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, {"x": "numeric"})
    table = parquet(
        tmp_path / "x=7" / "day=3" / "t.parquet", ["x", "y"], [list(range(90)), labels(90)]
    )
    assert prepared(table)["numeric"]["x"]["maximum"] > 7


def test_no_time_zone_and_no_locale_reach_the_data(tmp_path: Path) -> None:
    noon = datetime.datetime(2024, 3, 31, 1, 30, tzinfo=datetime.timezone.utc)
    times = [noon + datetime.timedelta(hours=number) for number in range(90)]
    numbers = [f"{number}.5" for number in range(90)]
    table = parquet(
        tmp_path / "t.parquet",
        ["when", "x", "y"],
        [times, numbers, [time.date() for time in times]],
    )
    declared = {
        **DEFAULTS,
        "COLUMNS": {"when": "categorical", "x": "numeric"},
        "TASK": "multiclass",
        "LABEL_SQL": "CAST(EXTRACT(DAY FROM CAST(label AS TIMESTAMP)) AS STRING)",
    }
    found = set()
    german = ["localedef", "-i", "de_DE", "-f", "UTF-8", str(tmp_path / "de_DE.UTF-8")]
    with contextlib.suppress(FileNotFoundError):  # then it is another locale that does not exist
        subprocess.run(german, check=False, stderr=subprocess.DEVNULL)
    machines = [("UTC", "C"), ("Asia/Kolkata", "de_DE.UTF-8"), ("America/New_York", "de_DE.UTF-8")]
    for zone, locale in machines:
        output = tmp_path / zone.replace("/", "-")
        command = [sys.executable, "-c", ANYWHERE, json.dumps(declared), "--train", str(table)]
        variables = {**os.environ, "TZ": zone, "LC_ALL": locale, "LOCPATH": str(tmp_path)}
        subprocess.run([*command, "--output", str(output), "-q"], env=variables, check=True)
        statistics = json.loads((output / files.STATISTICS).read_text(encoding="utf-8"))
        found.add(statistics["fingerprint"])
    assert statistics["label"]["classes"] == ["1", "2", "3", "31"]
    assert len(found) == 1


def test_examples_are_rows_of_the_last_split_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, {"x": "numeric", "text": "categorical"})
    names = ["x", "text", "y"]
    train = parquet(tmp_path / "train", names, [[*range(90)], ["a"] * 90, labels(90)])
    # Few rows, with characters that end a line for str.splitlines.
    few = parquet(tmp_path / "test", names, [[1, 2, 3], ["a\u2028b", "\x85", "a\n"], labels(3)])
    for options, rows in ((["--test", str(few)], 3), ([], prepared(train)["rows"]["eval"])):
        prepared(train, *options)
        text = (tmp_path / "output" / files.EXAMPLES).read_text(encoding="utf-8")
        assert len([json.loads(line) for line in text.split("\n") if line]) == min(10, rows)
