"""Tables of several files, of other encodings and of JSON Lines: every row is used, held out or in rejects.csv."""

import csv
import datetime
import decimal
import gzip
import json
from pathlib import Path
from typing import Any

import numpy
import pyarrow
import pyarrow.parquet
import pytest
from declared_tables import CSV, declare, labels, parquet, prepared
from trainer import features, prepare
from trainer.data.schema import Schema
from trainer.preprocessing import provenance, raw_table
from trainer.preprocessing.raw_table import open_table
from trainer.run.errors import UserError


def rows_of(statistics: dict[str, Any]) -> int:
    return sum(statistics["rows"].values())


def rejects(folder: Path) -> list[list[str]]:
    with (folder / "output" / "rejects.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def written(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def shards(folder: Path) -> bytes:
    paths = sorted((folder / "output").rglob("*.parquet"))
    return b"".join(path.read_bytes() for path in paths)


@pytest.mark.parametrize("name", ["parts", "parts/*.csv*", "parts/**/*", "part?", "pa[r]ts/[a-z]*"])
def test_the_files_of_a_folder_or_a_pattern_are_one_table(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    declare(monkeypatch, {"x": "numeric"})
    folder = tmp_path / "in [brackets]"
    written(folder / "parts" / "_SUCCESS", b"")
    written(folder / "parts" / ".a.csv.crc", b"crc")
    written(folder / "parts" / "b-empty.csv", b"")
    written(folder / "parts" / "a.csv", CSV)
    written(folder / "parts" / "c.csv.gz", gzip.compress(b"y,x\nyes,1000\nno,2000\n"))
    output = tmp_path / "output"
    assert prepare.main(["--train", str(folder / name), "--output", str(output)]) == 0
    assert "a.csv', " in (said := capsys.readouterr().err) and "c.csv.gz'\n" in said
    statistics = json.loads((output / "statistics.json").read_text(encoding="utf-8"))
    assert rows_of(statistics) == 92
    assert statistics["numeric"]["x"]["missing"] == 0
    assert statistics["numeric"]["x"]["maximum"] <= 2000


def test_a_file_of_a_folder_with_other_columns_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, {"x": "numeric"})
    written(tmp_path / "parts" / "a.csv", CSV)
    written(tmp_path / "parts" / "b.csv", CSV.replace(b"x", b"X", 1))
    with pytest.raises(UserError, match=r"b\.csv has no column 'x'.*did you mean 'X'"):
        prepared(tmp_path / "parts")
    (tmp_path / "parts" / "b.csv").unlink()
    parquet(tmp_path / "parts" / "c.parquet", ["x", "y"], [[1], ["yes"]])
    with pytest.raises(UserError, match="parts is a folder of files of different kinds"):
        prepared(tmp_path / "parts")


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl", "csv in UTF-16"])
def test_names_of_folders_are_columns(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = {"x": "numeric", "Year": "numeric", "place": "categorical"}
    declare(monkeypatch, columns)
    folder = tmp_path / "Year=1" / "other=2" / "table"
    for number, where in enumerate(["a%20b", "__HIVE_DEFAULT_PARTITION__"]):
        inside = folder / f"Year=202{number}" / f"place={where}" / f"part-{number}.0"
        rows = [{"x": x, "y": y} for x, y in zip(range(90), labels(90), strict=True)]
        if kind == "parquet":
            parquet(inside, ["x", "y"], [[row["x"] for row in rows], [row["y"] for row in rows]])
        elif kind == "jsonl":
            written(inside, b"".join(json.dumps(row).encode() + b"\n" for row in rows))
        else:
            written(inside, CSV.decode().encode("utf-16") if "16" in kind else CSV)
    statistics = prepared(folder)
    declared = Schema("y", "binary", "yes", "", columns, (), ",", "", (), 1, 2, 2)
    names = open_table(folder, declared, "train").names
    assert names == ("x", "y", "Year", "place")  # in the order of the folders, not of a set
    year = statistics["numeric"]["Year"]
    assert (year["minimum"], year["maximum"], year["missing"]) == (2020, 2021, 0)
    assert statistics["vocabularies"]["place"] == ["a b"]
    assert rows_of(statistics) == 180


LATIN = "größe,y\n" + "".join(
    f"Zoë{number % 7},{'yes' if number % 3 else 'no'}\n" for number in range(90)
)


@pytest.mark.parametrize(
    "encoding", ["latin-1", "cp1252", "UTF-16-LE", "utf-16", "mac-roman", "utf-8"]
)
def test_other_encodings_are_read_alike(
    encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, {"größe": "categorical"}, ENCODING=encoding)
    table = written(tmp_path / "t.csv", LATIN.encode(encoding))
    assert "Zoë1" in prepared(table)["vocabularies"]["größe"]
    found = shards(tmp_path)
    # A file with a byte order mark needs no ENCODING.
    written(table, LATIN.encode("utf-8-sig"))
    prepared(table)
    assert shards(tmp_path) == found


@pytest.mark.parametrize(
    ("encoding", "bad"), [("utf-8", b"\xe9"), ("cp1252", b"\x81"), ("shift-jis", b"\xa0")]
)
def test_a_line_with_an_invalid_byte_is_rejected_with_its_number(
    encoding: str, bad: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, {"x": "categorical"}, ENCODING=encoding)
    table = written(tmp_path / "t.csv", CSV.replace(b"\n50,", b"\n" + bad + b",", 1))
    assert rows_of(prepared(table, "--max-rejected-share", "0.1")) == 89
    ((name, line, reason, _),) = rejects(tmp_path)
    assert (name, line) == ("t.csv", "52")
    assert "not utf-8" in reason


def test_many_invalid_bytes_are_reported_with_the_encoding_to_declare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, {"x": "categorical"})
    table = written(tmp_path / "t.csv", LATIN.replace("größe", "x", 1).encode("latin-1"))
    with pytest.raises(UserError, match='line 2: .*ENCODING = "latin-1".*iconv -f LATIN1'):
        prepared(table)


def test_an_unknown_encoding_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for encoding in ("latin-99", "hex", "base64", "rot13", ""):
        declare(monkeypatch, {"x": "numeric"}, ENCODING=encoding)
        with pytest.raises(UserError, match="ENCODING is"):
            prepared(written(tmp_path / "t.csv", CSV))


def test_json_lines_are_read_by_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["x", "X", 'a "b"/~c', "2019", "late"]
    declare(
        monkeypatch, {**dict.fromkeys(names, "numeric"), "text": "categorical"}, MISSING=["NaN"]
    )
    lines = [
        json.dumps({"y": y, "X": 100 + number, 'a "b"/~c': number + 0.5, "2019": None, "x": number})
        for number, y in enumerate(labels(200))
    ]
    for number in range(20):
        text = '"text": "a\\nb\\u00fc"'
        lines[number] = f'{{"y": true, {text}, "late": 1e2, "X": {number}}}'
        lines[20 + number] = f'{{"y": "yes", "x": NaN, {text}, "2019": 7, "X": {number}.5}}'
    table = written(tmp_path / "t.jsonl", "\n".join(lines).encode())
    declared = ["--max-rejected-share", "0"]
    monkeypatch.setattr(features, "LABEL_SQL", "IF(label = 'true', 'yes', label)")
    statistics = prepared(table, *declared)
    assert statistics["vocabularies"]["text"] == ["a\nbü"]
    numbers = statistics["numeric"]
    assert numbers["X"]["maximum"] == numbers["x"]["maximum"] + 100 > 250
    assert numbers['a "b"/~c']["maximum"] == numbers["x"]["maximum"] + 0.5
    assert numbers["2019"]["maximum"] == 7 and numbers["late"]["maximum"] == 100
    assert 20 < numbers["x"]["missing"] <= 40


def test_files_of_json_lines_may_lack_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declare(monkeypatch, {"x": "numeric", "late": "categorical"})
    for number in range(3):
        rows = [{"x": x, "y": y} for x, y in enumerate(labels(100), 100 * number)]
        more = {"late": "a"} if number == 1 else {}
        lines = "".join(json.dumps({**row, **more}) + "\n" for row in rows)
        written(tmp_path / "parts" / f"{number}.jsonl", lines.encode())
    assert rows_of(prepared(tmp_path / "parts")) == 300


def test_keys_that_first_occur_far_down_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    declare(monkeypatch, {"x": "numeric"})
    monkeypatch.setattr(raw_table, "BEGINNING_BYTES", 1000)
    lines = [json.dumps({"x": x, "y": y}) for x, y in enumerate(labels(200))]
    lines[150] = '{"x": 1, "y": "no", "late": 2, "later": 3}'
    table = written(tmp_path / "t.jsonl", "\n".join(lines).encode())
    assert rows_of(prepared(table)) == 200
    said = capsys.readouterr().err
    assert "t.jsonl has keys that are not in its first rows: 'late', 'later'; move a row" in said


def test_a_line_that_is_no_object_is_rejected_with_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, {"x": "numeric"})
    lines = [json.dumps({"x": x, "y": y}) for x, y in enumerate(labels(400))]
    lines[9], lines[19], lines[29] = '{"x": 1, "y": ', "[1, 2]", ""
    table = written(tmp_path / "t.jsonl", "\n".join(lines).encode() + b"\n")
    lines[39] = '{"x": null, "y": null}'
    written(table, "\n".join(lines).encode() + b"\n")
    assert rows_of(prepared(table)) == 396
    reasons = [row[2] for row in rejects(tmp_path)]
    assert reasons.count("y: the label is missing") == 1
    found = [(name, line, text) for name, line, _, text in rejects(tmp_path) if line]
    assert [(name, line) for name, line, _ in found] == [("t.jsonl", "10"), ("t.jsonl", "20")]
    assert '""y"":' in found[0][2] and "[1, 2]" in found[1][2]


def repeated(value: object, type_: Any = None) -> Any:
    return pyarrow.array([value] * 90, type_)


NOON = datetime.datetime(2024, 5, 6, 12, 30)
NUMBERS = {
    "decimal": repeated(decimal.Decimal("1.50")),
    "uint64": repeated(2**64 - 1, pyarrow.uint64()),
    "float16": repeated(numpy.float16(1.5), pyarrow.float16()),
    "codes": repeated(3).dictionary_encode(),
    "null": pyarrow.nulls(90),
    "row": pyarrow.array([*range(90)]),
}
TEXTS = {
    "date": (repeated(NOON.date()), "2024-05-06"),
    "time": (repeated(NOON), "2024-05-06 12:30:00"),
    "nanoseconds": (repeated(1, pyarrow.timestamp("ns")), "1970-01-01 00:00:00.000000001"),
    "zone": (repeated(NOON, pyarrow.timestamp("us", "Asia/Tokyo")), "2024-05-06 12:30:00+00"),
    "bool": (repeated(True), "true"),
    "dictionary": (repeated("a").dictionary_encode(), "a"),
    "large": (repeated("b", pyarrow.large_string()), "b"),
}
NESTED = {"list": repeated([1]), "struct": repeated({"a": 1})}
KINDS = {
    **dict.fromkeys(NUMBERS, "numeric"),
    **dict.fromkeys(TEXTS, "categorical"),
    **dict.fromkeys(NESTED, "ignore"),
}


@pytest.fixture
def of_all_types(tmp_path: Path) -> Path:
    """A Parquet file with a column of each type."""
    columns = {**NUMBERS, **{name: text for name, (text, _) in TEXTS.items()}, **NESTED}
    table = pyarrow.table({**columns, "y": labels(90)})
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    return tmp_path / "t.parquet"


def test_every_type_of_parquet_is_read(of_all_types: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declare(monkeypatch, KINDS)
    statistics = prepared(of_all_types)
    means = {name: column["mean"] for name, column in statistics["numeric"].items()}
    assert means.pop("row") == pytest.approx(45, abs=5)
    assert means.pop("uint64") == pytest.approx(2.0**64)
    assert means == {"decimal": 1.5, "float16": 1.5, "codes": 3, "null": 0}
    assert statistics["vocabularies"] == {name: [text] for name, (_, text) in TEXTS.items()}


def test_a_nested_column_of_parquet_that_is_used_is_refused(
    of_all_types: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, {**KINDS, "list": "categorical"})
    with pytest.raises(UserError, match=r"'list' with nested cells \(list.*\"ignore\""):
        prepared(of_all_types)


def test_a_column_without_a_name_is_named_by_its_position(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"Unnamed: 0.1": "ignore", "Unnamed: 0": "numeric", "Unnamed: 2": "ignore"}
    declare(monkeypatch, {**names, "x": "numeric"})
    table = written(tmp_path / "t.csv", nameless())
    assert prepared(table)["numeric"]["Unnamed: 0"]["mean"] == 1


def nameless() -> bytes:
    rows = [f"{number},1,,{number % 9},{y}" for number, y in enumerate(labels(90))]
    return "\n".join([",Unnamed: 0, ,x,y", *rows]).encode()


@pytest.mark.parametrize("delimiter", ["|", " ", "^", "§", ":", "\\", "\x01", "~", "'"])
def test_any_character_separates(
    delimiter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, {"x": "numeric"}, DELIMITER=delimiter)
    table = written(tmp_path / "t.txt", CSV.decode().replace(",", delimiter).encode())
    assert rows_of(prepared(table, "--max-rejected-share", "0")) == 90


def test_every_file_of_a_pattern_identifies_prepared_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, {"x": "numeric"})
    project = tmp_path / "project"
    for name in ("a.csv", "b.csv"):
        written(project / "data" / name, CSV)

    def stale(folder: Path) -> list[str]:
        arguments = ["--train", str(folder / "data" / "*.csv"), "--output", str(folder / "output")]
        if not (folder / "output").exists():
            assert prepare.main([*arguments, "-q"]) == 0
        return prepare.stale_reasons(arguments)

    assert stale(project) == []
    written(project / "data" / "c.csv", CSV)
    assert stale(project)[0].endswith("has changed since")
    (project / "data" / "c.csv").unlink()
    assert stale(project) == []
    # It is the same table wherever the project lies.
    moved = project.rename(tmp_path / "moved")
    assert stale(moved) == []
    for name in ("a.csv", "b.csv"):
        (moved / "data" / name).unlink()
    assert [each for each in stale(moved) if each.endswith("is gone")] or "now" in stale(moved)[0]
    assert provenance.state_of(moved / "data" / "*.csv") == {}
