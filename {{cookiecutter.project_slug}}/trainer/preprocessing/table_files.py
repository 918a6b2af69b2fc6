"""The files of a table: which ones a path names, how they are compressed and encoded, and why some cannot be read."""

import bz2
import codecs
import contextlib
import difflib
import glob
import gzip
import io
import lzma
import re
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from trainer.run.errors import UserError

LONGEST_LINE_BYTES = 2 << 20  # DuckDB reserves many times as much memory for reading
TABLES = "CSV or JSON Lines, compressed or not, or Parquet: a file, a folder or a pattern of files"
ENDINGS = re.compile(
    r"(?i).*\.(csv|tsv|txt|jsonl?|ndjson|parquet)(\.(gz|gzip|bz2|xz|zst|zip))?|.*\.(gz|bz2|xz|zst|zip)"
)
DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
COMPRESSIONS = (  # the first bytes of a file, and how it is compressed
    (re.compile(rb"\x1f\x8b"), "gzip"),
    (re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"), "bz2"),
    (re.compile(rb"\xfd7zXZ\0"), "xz"),
    (re.compile(rb"\x28\xb5\x2f\xfd"), "zstd"),
    (re.compile(rb"PK(\x03\x04|\x05\x06)"), "zip"),
)
MARKS = (  # the byte order marks of encodings, the longer of two that begin alike first
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
TO_CSV = "save the sheet as CSV, as with `libreoffice --headless --convert-to csv FILE`"
OTHER_ENCODING = (
    'write ENCODING = "latin-1" in trainer/features.py if that is what it is, or convert the file:'
    " iconv -f LATIN1 -t UTF-8 FILE > utf8-FILE"
)
OTHER_FORMATS = (  # the first bytes of content in lower case, what it is then, how to get a table of it
    ((b"\xd0\xcf\x11\xe0",), "an Excel workbook", TO_CSV),
    ((b"pk\x03\x04", b"7z\xbc\xaf"), "an archive", "unpack it, as with `unzip` or `7z x`"),
    ((b"version https://git-lfs",), "a pointer of Git LFS", "run `git lfs pull`"),
    (
        (b"arrow1\0", b"\x89hdf", b"sqlite format 3", b"orc", b"obj\x01"),
        "a table in another format",
        "write it as Parquet, as with `to_parquet` of pandas",
    ),
    ((b"<!doctype", b"<html", b"<?xml"), "a page of HTML or XML", "download the table itself"),
    (
        (b"[{", b"[\n", b"[\r", b"[ "),
        "a JSON array",
        "write an object per line: `jq -c '.[]' FILE > FILE.jsonl`",
    ),
)
TAR_MARK = slice(257, 262)
LARGEST_NUL_SHARE = 0.05  # UTF-16 has a third or more; a damaged cell does not make a file binary


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


def compression(path: Path) -> str:
    """Return how a file is compressed, "" if it is not."""
    with path.open("rb") as file:
        start = file.read(16)
    return next((name for signature, name in COMPRESSIONS if signature.match(start)), "")


def encoding_of(beginning: bytes, declared: str) -> str:
    """Return the encoding of text: that of its byte order mark, if it has one."""
    return next((name for mark, name in MARKS if beginning.startswith(mark)), declared)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open the content of a file, decompressed; raise `UserError` where it is damaged, or an archive of other files."""
    try:
        with decompressed(path) as file:
            yield file
    except (*DAMAGED, OSError) as error:
        # Some decompressors raise an `OSError` without a number.
        if isinstance(error, DAMAGED) or error.errno is None:
            raise damaged(path, error) from error
        raise


def decompressed(path: Path) -> Any:
    how = compression(path)
    if how == "zip":
        archive = zipfile.ZipFile(path)
        return archive.open(only_member(archive, path))
    if how == "zstd":
        import pyarrow

        stream: Any = pyarrow.input_stream(str(path), compression="zstd")
        return io.BufferedReader(stream)
    opener: Any = {"gzip": gzip.open, "bz2": bz2.open, "xz": lzma.open}.get(how, open)
    return opener(path, "rb")


def only_member(archive: zipfile.ZipFile, path: Path) -> zipfile.ZipInfo:
    members = [
        each
        for each in archive.infolist()
        if not each.is_dir() and not each.filename.startswith("__MACOSX/")
    ]
    if any(re.match(r"xl/|\[Content_Types\]|content\.xml$", each.filename) for each in members):
        raise unusable(path, "an Excel workbook or another office document", TO_CSV)
    if len(members) != 1 or members[0].flag_bits & 1:
        what = "encrypted" if len(members) == 1 else f"a zip archive of {len(members)} files"
        raise unusable(path, what, "unpack it with `unzip FILE`, and name the table in it")
    return members[0]


def read_beginning(path: Path, split: str) -> bytes:
    """Return the first bytes of a file, decompressed; raise `UserError` if it cannot be read or has none."""
    correct = f"correct `{split}` under [data] in job.toml"
    try:
        with opened(path) as file:
            beginning = file.read(LONGEST_LINE_BYTES)
    except OSError as error:
        reason = f"not readable ({error.strerror})"
        raise unusable(path, reason, f"change its permissions, or {correct}") from error
    if not beginning:
        raise unusable(path, "empty", correct)
    return beginning


def check_text(path: Path, beginning: bytes, encoding: str) -> None:
    """Raise `UserError` for content that is no text."""
    for signatures, what, remedy in OTHER_FORMATS:
        if beginning.lstrip()[:40].lower().startswith(signatures):
            raise unusable(path, what, remedy)
    if beginning[TAR_MARK] == b"ustar":
        raise unusable(path, "a tar archive", "unpack it with `tar -xf FILE`")
    if beginning.decode(encoding, "replace").count("\0") > LARGEST_NUL_SHARE * len(beginning):
        order = "le" if beginning[1:2] == b"\0" else "be"
        raise unusable(
            path,
            "UTF-16 without a mark or no text at all: it holds NUL bytes",
            f'write ENCODING = "utf-16-{order}" in trainer/features.py, or save it as CSV in UTF-8',
        )


def write_plain(path: Path, encoding: str, target: Path) -> None:
    """Write the content of a file decompressed and as UTF-8.

    Bytes that are invalid stay as they are, so that they are reported with their line when it is read.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with opened(path) as source, target.open("wb") as plain:
        if encoding == "utf-8":
            return shutil.copyfileobj(source, plain, LONGEST_LINE_BYTES)
        text = io.TextIOWrapper(source, encoding, "surrogateescape", newline="")
        for block in iter(lambda: text.read(LONGEST_LINE_BYTES), ""):
            plain.write(block.encode("utf-8", "surrogateescape"))


def damaged(path: Path, error: BaseException) -> UserError:
    return unusable(path, f"damaged or incomplete ({error})", "copy or download it again")


def not_decoded(path: Path, encoding: str, where: str) -> UserError:
    """Return the error for text in another encoding."""
    return UserError(
        f"{where} of {path} cannot be read (it is not {encoding.upper()})",
        "text in UTF-8, or as ENCODING declares",
        OTHER_ENCODING.replace("FILE", path.name),
    )


def unusable(path: Path, what: str, remedy: str) -> UserError:
    """Return the error for a file; FILE in `remedy` becomes its name."""
    return UserError(f"{path} is {what}", TABLES, remedy.replace("FILE", path.name))


def no_file(path: Path, split: str) -> UserError:
    """Return the error for a path that names no file: with the nearest name."""
    correct = f"correct `{split}` under [data] in job.toml"
    if path.is_dir():
        return unusable(path, "a folder without a table", correct)
    if path.exists():
        return unusable(path, "a pipe or a device", f"copy its content to a file, and {correct}")
    names = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, names, n=1)
    guess = f", {path.parent / near[0]}?" if near else ""
    return UserError(f"there is no file {path}", TABLES, correct + guess)


def lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file, parts of those that are too long."""
    with opened(path) as file:
        yield from iter(lambda: file.readline(LONGEST_LINE_BYTES), b"")
