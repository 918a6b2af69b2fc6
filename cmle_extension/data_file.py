"""The file that `data_path` names: that it can be read, and what kind it is."""

import os
import stat

from .refusal import refusal, shown

PROMPT = "data_path"
KINDS = "a .csv, .tsv, .txt, .csv.gz, .tsv.gz or .parquet file"
EXTENSIONS = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".parquet")
PARQUET_MAGIC = b"PAR1"
GZIP_MAGIC = b"\x1f\x8b"


def file_kind(path: str) -> str:
    """Return "text", "gzip" or "parquet", judged by the first bytes; refuse a file that is none of them."""
    check_regular_file(path)
    if not path.lower().endswith(EXTENSIONS):
        raise refusal(
            PROMPT,
            f"{shown(os.path.basename(path))} has an unknown ending",
            KINDS,
            "save the table as CSV, and end its name in .csv",
        )
    start = first_bytes(path)
    if start == PARQUET_MAGIC:
        return "parquet"
    kind = "gzip" if start.startswith(GZIP_MAGIC) else "text"
    check_ending(path, kind)
    return kind


def check_regular_file(path: str) -> None:
    """Refuse a path that is no file with something in it. Opens nothing: a pipe would wait for ever."""
    try:
        status = os.stat(path)
    except OSError as error:
        remedy = "correct the path, or leave it empty for the sample"
        if "gs:/" in path:
            remedy = "copy the file here first, with gcloud storage cp"
        problem = f"{shown(path)} cannot be opened ({error.strerror or 'no such file'})"
        raise refusal(PROMPT, problem, "a file on this machine", remedy) from None
    if stat.S_ISDIR(status.st_mode):
        raise refusal(PROMPT, f"{shown(path)} is a directory", KINDS, "name a file in it")
    if not stat.S_ISREG(status.st_mode):
        raise refusal(
            PROMPT, f"{shown(path)} is no regular file", KINDS, "write its content to a file"
        )
    if not status.st_size:
        raise refusal(
            PROMPT, f"{shown(path)} is empty", "a header line and rows", "name another file"
        )


def first_bytes(path: str) -> bytes:
    """Return the first four bytes of a file; refuse one that cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(4)
    except OSError as error:
        raise unreadable(path, error) from None


def unreadable(path: str, error: OSError) -> Exception:
    """Return the refusal of a file that the system does not let us read."""
    problem = f"{shown(path)} cannot be read ({error.strerror or type(error).__name__})"
    return refusal(
        PROMPT, problem, "a file that you may read", "change its permissions, or copy it"
    )


def check_ending(path: str, kind: str) -> None:
    """Refuse a name that says another kind than the content: whatever reads it later goes by the name."""
    name = os.path.basename(path)
    if kind == "gzip" and not name.endswith(".gz"):
        problem, expected = f"{shown(name)} is compressed with gzip", "a name that ends in .gz"
        raise refusal(PROMPT, problem, expected, "rename it, for example to table.csv.gz")
    if kind == "text" and name.lower().endswith((".gz", ".parquet")):
        promised = "gzip" if name.lower().endswith(".gz") else "Parquet"
        problem = f"the content of {shown(name)} is not {promised}"
        raise refusal(
            PROMPT, problem, KINDS, "write the file again, or give it the ending of its content"
        )
