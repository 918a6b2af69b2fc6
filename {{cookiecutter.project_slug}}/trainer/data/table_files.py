"""The files of a table: which ones a path names, how they are compressed and encoded, and what is no table.

Standard library only: the prompts of the template load this very file, so that they read what preparing reads.
"""

import bz2
import codecs
import contextlib
import glob
import gzip
import io
import json
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any, BinaryIO

BEGINNING_BYTES = 2 << 20  # of each file, to know it by; no line may be longer
TABLES = "CSV or JSON Lines, compressed or not, or Parquet: a file, a folder or a pattern of files"
ENDINGS = re.compile(r"(?i).*\.(csv|tsv|txt|jsonl?|ndjson|parquet|gz|bz2|xz|zst|zip)")
DAMAGE = (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
PARQUET = b"PAR1"
COMPRESSIONS = {
    **{b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd"},
    **{b"PK\3\4": "zip", b"PK\5\6": "zip"},
}
MARKS = {  # the byte order marks of encodings, the longer of two that begin alike first
    **{codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32"},
    **{codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"},
}
OFFICE_FILE = re.compile(r"xl/|\[Content_Types\]|content\.xml$")
UNPACK = "unpack it, as with `unzip FILE`, `tar -xf FILE` or `7z x FILE`, and name the table in it"
TO_CSV = "save the sheet as CSV, as with `libreoffice --headless --convert-to csv FILE`"
AS_LINES = "write an object per line: `jq -c '.[]' FILE > FILE.jsonl`"
OTHER_FORMATS = (  # the first bytes of content in lower case, what it is then, how to get a table of it
    ((b"\xd0\xcf\x11\xe0",), "an Excel workbook", TO_CSV),
    ((b"pk\3\4", b"7z\xbc\xaf", b"rar!"), "an archive", UNPACK),
    ((b"version https://git-lfs",), "a pointer of Git LFS", "run `git lfs pull`"),
    (
        (b"arrow1\0", b"\x89hdf", b"sqlite format 3", b"orc\n", b"obj\1"),
        "a table in another format",
        "write it as Parquet, as with `to_parquet` of pandas",
    ),
    ((b"<!doctype", b"<html", b"<?xml"), "a page of HTML or XML", "download the table itself"),
    ((b"[{", b"[\n", b"[\r", b"[ "), "a JSON array", AS_LINES),
)
OTHER_ENCODING = (
    'write ENCODING = "latin-1" in trainer/features.py if that is what it is, or convert the file:'
    " iconv -f LATIN1 -t UTF-8 FILE > utf8-FILE"
)
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"  # in the name of a folder
LARGEST_NUL_SHARE = 0.05  # UTF-16 has a third or more; a damaged cell does not make a file binary


class NoTable(Exception):
    """A file that cannot be read as a table: what it is, and the remedy, in which FILE becomes its name."""

    def __init__(self, path: Path, what: str, remedy: str) -> None:
        super().__init__(f"{path} is {what}")
        self.remedy = remedy.replace("FILE", path.name)


def files_of(path: Path) -> tuple[Path, list[Path]]:
    """Return the files that a file's path, a folder or a pattern names, and the folder that they lie in.

    Hidden files, those that begin with _ and empty ones beside others are no part of a table.
    """
    if path.is_file():
        return path.parent, [path]
    root = next(folder for folder in (path, *path.parents) if folder.is_dir())
    pattern = str(path.relative_to(root))  # "." of a folder
    found = [root / each for each in glob.glob(pattern, root_dir=root, recursive=True)]
    inside = {each for start in found for each in [start, *start.rglob("*")] if each.is_file()}
    seen = [each for each in sorted(inside) if is_visible(each.relative_to(root))]
    files = [each for each in seen if ENDINGS.fullmatch(each.name)] or seen
    return root, [each for each in files if each.stat().st_size] or files


def is_visible(path: Path) -> bool:
    return not any(part.startswith((".", "_")) for part in path.parts)


def partitions_of(file: PurePath) -> dict[str, str]:
    """Return the values of the folders KEY=VALUE in a path, as they are written."""
    parts = [part.partition("=") for part in file.parts[:-1]]
    return {key: value for key, separator, value in parts if separator}


def matching(start: bytes, table: dict[bytes, str], default: str) -> str:
    return next((name for mark, name in table.items() if start.startswith(mark)), default)


def compression(path: Path) -> str:
    """Return how a file is compressed, "" if it is not."""
    with path.open("rb") as file:
        return matching(file.read(16), COMPRESSIONS, "")


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open the content of a file, decompressed; raise `NoTable` where it is damaged or cannot be read."""
    try:
        with decompressed(path) as file:
            yield file
    except (*DAMAGE, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            reason = f"not readable ({error.strerror})"
            raise NoTable(path, reason, "change its permissions, or name another") from error
        raise damaged(path, error) from error


def damaged(path: Path, error: BaseException) -> NoTable:
    return NoTable(path, f"damaged or incomplete ({error})", "copy or download it again")


def decompressed(path: Path) -> Any:
    how = compression(path)
    if how == "zip":
        return only_member(path, zipfile.ZipFile(path))
    if how == "zstd":
        import pyarrow

        stream: Any = pyarrow.input_stream(str(path), compression="zstd")
        return io.BufferedReader(stream)
    opener: Any = {"gzip": gzip.open, "bz2": bz2.open, "xz": lzma.open}.get(how, open)
    return opener(path, "rb")


def only_member(path: Path, archive: zipfile.ZipFile) -> Any:
    files = [each for each in archive.infolist() if not each.is_dir()]
    members = [each for each in files if not each.filename.startswith("__MACOSX/")]
    if any(OFFICE_FILE.match(each.filename) for each in members):
        raise NoTable(path, "an Excel workbook or another office document", TO_CSV)
    if len(members) != 1 or members[0].flag_bits & 1:
        what = "encrypted" if len(members) == 1 else f"a zip archive of {len(members)} files"
        raise NoTable(path, what, UNPACK)
    return archive.open(members[0])


def text_of(path: Path, beginning: bytes, declared: str) -> tuple[str, str]:
    """Return the first bytes of a file as text, and its encoding; raise `NoTable` for what is no text."""
    for signatures, what, remedy in OTHER_FORMATS:
        if beginning.lstrip()[:40].lower().startswith(signatures):
            raise NoTable(path, what, remedy)
    if beginning[257:262] == b"ustar":
        raise NoTable(path, "a tar archive", UNPACK)
    encoding = matching(beginning, MARKS, declared.lower())
    text = beginning.decode(encoding, "replace").removeprefix("\ufeff")
    if text.count("\0") > LARGEST_NUL_SHARE * len(beginning):
        order = "le" if beginning[1:2] == b"\0" else "be"
        what = "UTF-16 without a mark or no text at all: it holds NUL bytes"
        fix = (
            f'write ENCODING = "utf-16-{order}" in trainer/features.py, or save it as UTF-8'
            " (or remove them: tr -d '\\0' < FILE > new-FILE)"
        )
        raise NoTable(path, what, fix)
    return text, encoding


def json_names(path: Path, text: str) -> tuple[str, ...]:
    """Return the keys of JSON Lines in the order of their first occurrence; the last line may be incomplete."""
    rows = [row for row in map(json_row, text.split("\n")) if row]
    if not rows:
        raise NoTable(
            path, "JSON that is no object per line", "convert it: `jq -c . FILE > FILE.jsonl`"
        )
    return tuple(dict.fromkeys(key for row in rows for key in row))


def json_row(line: str) -> dict[str, Any] | None:
    """Return the object of a line, None if it holds none."""
    with contextlib.suppress(ValueError, RecursionError):
        row = json.loads(line)
        return row if isinstance(row, dict) else None
    return None


def json_cell(value: object) -> str:
    """Return a value of JSON as the text of a cell."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
