"""The file that `data_path` names: whether it can be read, and its format."""

import os
import stat

from .refusal import refusal, shown

PROMPT = "data_path"
KINDS = "a .csv, .tsv, .txt, .csv.gz, .tsv.gz or .parquet file"
EXTENSIONS = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".parquet")
PARQUET_MAGIC = b"PAR1"
GZIP_MAGIC = b"\x1f\x8b"


def file_kind(path: str) -> str:
    """Return "text", "gzip" or "parquet", by the first bytes; refuse any other file."""
    check_regular_file(path)
    if not path.lower().endswith(EXTENSIONS):
        raise refusal(
            PROMPT,
            f"{shown(os.path.basename(path))} has an unknown extension",
            KINDS,
            "save the table as CSV, with the extension .csv",
        )
    start = first_bytes(path)
    if start == PARQUET_MAGIC:
        return "parquet"
    kind = "gzip" if start.startswith(GZIP_MAGIC) else "text"
    check_ending(path, kind)
    return kind


def check_regular_file(path: str) -> None:
    """Refuse a path that is not a regular, non-empty file. Does not open it: opening a pipe would block."""
    try:
        status = os.stat(path)
    except OSError as error:
        remedy = "correct the path, or leave it empty for the census sample"
        if "gs:/" in path:
            remedy = "copy the file here first, with gcloud storage cp"
        problem = f"{shown(path)} cannot be opened ({error.strerror or 'no such file'})"
        raise refusal(PROMPT, problem, "a file on this machine", remedy) from None
    if stat.S_ISDIR(status.st_mode):
        raise refusal(PROMPT, f"{shown(path)} is a directory", KINDS, "choose a file in it")
    if not stat.S_ISREG(status.st_mode):
        raise refusal(
            PROMPT, f"{shown(path)} is not a regular file", KINDS, "write its content to a file"
        )
    if not status.st_size:
        raise refusal(
            PROMPT, f"{shown(path)} is empty", "a header line and rows", "choose another file"
        )


def first_bytes(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(4)
    except OSError as error:
        raise unreadable(path, error) from None


def unreadable(path: str, error: OSError) -> Exception:
    problem = f"{shown(path)} cannot be read ({error.strerror or type(error).__name__})"
    return refusal(PROMPT, problem, "a readable file", "change its permissions, or copy it")


def check_ending(path: str, kind: str) -> None:
    """Refuse an extension that contradicts the content: DuckDB later selects its reader by the extension."""
    name = os.path.basename(path)
    if kind == "gzip" and not name.endswith(".gz"):
        problem, expected = f"{shown(name)} is compressed with gzip", "the extension .gz"
        raise refusal(PROMPT, problem, expected, "rename it, for example to table.csv.gz")
    if kind == "text" and name.lower().endswith((".gz", ".parquet")):
        named = "gzip" if name.lower().endswith(".gz") else "Parquet"
        problem = f"the content of {shown(name)} is not {named}"
        raise refusal(
            PROMPT, problem, KINDS, "write the file again, or use the extension of its content"
        )
