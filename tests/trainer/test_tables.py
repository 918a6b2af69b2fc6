"""Reading tables of any names, types and machines; each test brings its own columns."""

import bz2
import codecs
import contextlib
import datetime
import gzip
import hashlib
import io
import json
import lzma
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
import row_keys
from declared_tables import CSV, DEFAULTS, declare, labels, parquet, prepared
from trainer.data import files
from trainer.run.errors import UserError

ANYWHERE = """
import contextlib, json, locale, sys
from trainer import features, prepare
with contextlib.suppress(locale.Error):
    locale.setlocale(locale.LC_ALL, "")
for name, value in json.loads(sys.argv[1]).items():
    setattr(features, name, value)
sys.exit(prepare.main(sys.argv[2:]))
"""


def test_the_key_of_a_row_is_that_of_its_text() -> None:
    keys = [row_keys.key_of(row) for row in row_keys.ROWS]
    assert keys == row_keys.KEYS
    digests = [hashlib.md5(text.encode()).hexdigest() for text in row_keys.TEXTS]
    assert keys == [int(digest[:15], 16) for digest in digests]


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


def zipped(*names: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in names:
            archive.writestr(name, CSV)
    return content.getvalue()


def tarred() -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        member = tarfile.TarInfo("t.csv")
        member.size = len(CSV)
        archive.addfile(member, io.BytesIO(CSV))
    return content.getvalue()


LINES = b"".join(
    b'{"x": %d, "y": "%s"}\n' % (number, b"no" if number % 3 else b"yes") for number in range(90)
)
UNUSABLE = {
    "empty.csv": (b"", "is empty"),
    "two.zip": (zipped("a.csv", "b.csv"), "a zip archive of 2 files.*`unzip two.zip`"),
    "locked.zip": (
        zipped("a.csv").replace(b"PK\1\2\x14\3\x14\0\0", b"PK\1\2\x14\3\x14\0\1"),
        "is encrypted",
    ),
    "t.xlsx": (zipped("xl/workbook.xml"), "save the sheet as CSV.*convert-to csv t.xlsx"),
    "renamed.csv": (zipped("xl/workbook.xml"), "save the sheet as CSV"),
    "t.ods": (zipped("mimetype", "content.xml"), "save the sheet as CSV"),
    "inner.csv.gz": (gzip.compress(zipped("t.csv")), "is an archive"),
    "t.tar.gz": (gzip.compress(tarred()), "is a tar archive.*`tar -xf t.tar.gz`"),
    "unmarked.csv": (CSV.decode().encode("utf-16-le"), 'write ENCODING = "utf-16-le"'),
    "big.csv.gz": (gzip.compress(CSV.decode().encode("utf-16-be")), 'ENCODING = "utf-16-be"'),
    "short.csv.gz": (gzip.compress(CSV)[:9], "damaged or incomplete"),
    "half.csv.gz": (gzip.compress(CSV)[:-20], "damaged or incomplete"),
    "sum.csv.gz": (gzip.compress(CSV)[:-8] + bytes(8), "damaged or incomplete"),
    "half.bz2": (bz2.compress(CSV)[:-20], "damaged or incomplete"),
    "sum.bz2": (bz2.compress(CSV)[:-30] + bytes(30), "damaged or incomplete"),
    "half.xz": (lzma.compress(CSV)[:-20], "damaged or incomplete"),
    "half.zst": (pyarrow.compress(CSV, "zstd", asbytes=True)[:-9], "damaged or incomplete"),
    "page.csv": (b"\n<!DOCTYPE html><html>404</html>", "is a page of HTML"),
    "pointer.csv": (b"version https://git-lfs.github.com/spec/v1\noid 1", "run `git lfs pull`"),
    "t.json": (b'[{"x": 1, "y": "yes"}]', "is a JSON array.*jq -c '.\\[\\]' t.json"),
    "split.json": (b'{"x": 1,\n "y": "yes"}', "no object per line.*`jq -c . split.json"),
    "cut.parquet": (b"PAR1" + bytes(99), "begins as a Parquet file, but cannot be read"),
    "t.parquet.gz": (gzip.compress(b"PAR1" + bytes(99)), "is a compressed Parquet file"),
    "case.csv": (CSV.replace(b"y", b"Y", 1), "did you mean 'Y'"),
    "latin.csv": (
        "größe,y\n1,yes\n".encode("latin-1"),
        "is not UTF-8: its header cannot be read.*iconv -f LATIN1 -t UTF-8 latin.csv",
    ),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_file_without_a_table_is_reported_for_what_it_is(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, {"x": "numeric"})
    content, message = UNUSABLE[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message) as found:
        prepared(tmp_path / name)
    assert name in str(found.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", CSV),
        ("t.CSV", b"\xef\xbb\xbf" + CSV.replace(b"\n", b"\r\n")),
        ("gzip without an ending", gzip.compress(CSV)),
        ("no.gz", CSV),
        ("two.gz", gzip.compress(CSV) + gzip.compress(b"3,no\n")),
        ("comment.csv", b"# made by hand\n\n# in 2024\n" + CSV),
        ("t.csv.bz2", bz2.compress(CSV)),
        ("two.bz2", bz2.compress(CSV) + bz2.compress(b"3,no\n", 1)),
        ("xz in a file.csv", lzma.compress(CSV)),
        ("t.csv.zst", pyarrow.compress(CSV, "zstd", asbytes=True)),
        ("t.zip", zipped("t.csv")),
        ("from a mac.zip", zipped("t.csv", "__MACOSX/._t.csv")),
        ("marked.csv", CSV.decode().encode("utf-16")),
        ("big.csv.gz", gzip.compress(codecs.BOM_UTF16_BE + CSV.decode().encode("utf-16-be"))),
        ("utf32.csv", CSV.decode().encode("utf-32")),
        ("old mac.csv", CSV.replace(b"\n", b"\r")),
        ("excel.csv", b"sep=,\r\n" + CSV.replace(b"\n", b"\r\n")),
        ("blank lines.csv", b"\n\n" + CSV.replace(b"\n", b"\n\n")),
        ("lines.jsonl", LINES),
        ("lines.jsonl.gz", gzip.compress(b"\xef\xbb\xbf" + LINES)),
        ("lines.xz", lzma.compress(LINES.replace(b"\n", b"\r\n\r\n"))),
    ],
)
def test_a_table_is_read_whatever_its_name(
    name: str, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, {"x": "numeric"}, COMMENT="#")
    (tmp_path / name).write_bytes(content)
    statistics = prepared(tmp_path / name, "--max-rejected-share", "0")
    assert sum(statistics["rows"].values()) == (91 if name.startswith("two") else 90)
    assert statistics["numeric"]["x"]["missing"] == 0
    assert not (tmp_path / "output" / "spill").exists()


def test_a_path_that_is_no_file_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, {"x": "numeric"})
    parts = tmp_path / "parts"
    parts.mkdir()
    (parts / "_SUCCESS").touch()
    (parts / "part-0.parquet").touch()
    with pytest.raises(UserError, match="part-0.parquet is empty"):
        prepared(parts)
    (parts / "part-0.parquet").unlink()
    with pytest.raises(UserError, match="is a folder without a table; .*`train` under"):
        prepared(parts)
    with pytest.raises(UserError, match="there is no file .*parts/.*csv"):
        prepared(parts / "*.csv")
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(UserError, match="is a pipe or a device"):
        prepared(tmp_path / "pipe.csv")
    (tmp_path / "adult.csv").touch()
    with pytest.raises(UserError, match=r"there is no file .*`train` under .*adult.csv\?"):
        prepared(tmp_path / "adlt.csv")
    with pytest.raises(UserError, match="there is no file"):
        prepared(tmp_path / "adult.csv" / "x.csv")


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="root may read all")
def test_a_file_without_permission_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, {"x": "numeric"})
    (tmp_path / "t.csv").write_bytes(CSV)
    (tmp_path / "t.csv").chmod(0)
    with pytest.raises(UserError, match=r"is not readable \(Permission denied\)"):
        prepared(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("x", "has no column 'y'.*give it the columns of the train table"),
        ("y", "has no column 'x'.*remove `test` under"),
        ("x,y,z", "has a column 'z' that.*give it the columns of the train table"),
        ("x,Y", "has no column 'y'.*columns 'x', 'Y'; give it the columns of the train table"),
    ],
)
def test_a_test_table_with_other_columns_is_to_be_corrected_itself(
    header: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, {"x": "numeric"})
    (tmp_path / "t.csv").write_bytes(CSV)
    (tmp_path / "test.csv").write_text(f"{header}\n", encoding="utf-8")
    with pytest.raises(UserError, match=message):
        prepared(tmp_path / "t.csv", "--test", str(tmp_path / "test.csv"))


@pytest.mark.parametrize(
    ("positive", "classes", "message"),
    [
        ("Yes", ["yes", "no"], "POSITIVE is 'Yes'; expected two classes, .*write POSITIVE = 'yes'"),
        (">50K", [">50K.", "<=50K."], r"write POSITIVE = '>50K\.'"),
        ("1", ["1.0", "0.0"], "write POSITIVE = '1.0'"),
        ("yes", ["yes", "no", "maybe"], 'write TASK = "multiclass", or LABEL_SQL'),
    ],
)
def test_a_positive_class_that_the_data_lack_is_reported(
    positive: str,
    classes: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    declare(monkeypatch, {"x": "numeric"}, POSITIVE=positive)
    given = [classes[number % len(classes)] for number in range(90)]
    with pytest.raises(UserError, match=message):
        prepared(parquet(tmp_path / "t.parquet", ["x", "y"], [[*range(90)], given]))
