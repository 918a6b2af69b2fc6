"""The files that `data_path` names: a file, a folder or a pattern; read as the generated project reads them."""

import contextlib
import glob
import os
import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO

from .refusal import refusal, shown
from .shared import table_files

PROMPT = "data_path"
MOST_ENTRIES = 100_000
"""Files and folders that are looked at for a table: those of a whole machine would take minutes."""
ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
IN_JOB = "write it as train in job.toml then"
DOWNLOAD = "download it first, as with curl -LO"
OTHER_CLOUD = (
    f"copy a file of it here first; the project reads gs://: copy all of it there, and {IN_JOB}"
)
REMEDIES = {
    "gs": f"copy a file of it here first, with gcloud storage cp; the project reads gs:// itself: {IN_JOB}",
    "bq": "save some rows here as CSV first, as with bq query --format=csv; the project reads bq:// itself:"
    f" {IN_JOB}",
    **dict.fromkeys(("http", "https", "ftp"), DOWNLOAD),
    "file": "write the path without file://",
}


def check_local(path: str) -> None:
    """Refuse an address of the network, with how to get its table."""
    address = ADDRESS.match(path)
    if address and not os.path.exists(path):
        remedy = REMEDIES.get(address[1].lower(), OTHER_CLOUD)
        expected = f"on this machine: {table_files.TABLES}"
        raise refusal(PROMPT, f"{shown(path)} is not on this machine", expected, remedy)


def check_size(path: str) -> None:
    """Refuse a folder or a pattern of too many entries, before all of them are looked at."""
    starts: Iterable[str] = [path] if os.path.exists(path) else glob.iglob(path)
    if "**" in Path(path).parts and not os.path.exists(path):
        starts = [next(str(folder) for folder in Path(path).parents if folder.is_dir())]
    found = (each for start in starts for _, *both in os.walk(start) for each in chain(*both))
    if next(islice(found, MOST_ENTRIES, None), None) is not None:
        problem = f"{shown(path)} holds more than {MOST_ENTRIES:,} files and folders"
        remedy = (
            "name the table's own folder; of a larger table one of its files, and write the folder as"
            " train in job.toml then"
        )
        raise refusal(PROMPT, problem, "files of one table", remedy)


def named_files(path: str) -> tuple[Path, list[Path]]:
    """Return the folder and the files of a table; refuse a path without any. Opens none: opening a pipe would block."""
    try:
        root, files = table_files.files_of(Path(path))
    except OSError as error:
        raise no_files(path, error.strerror or "no such file") from None
    if not files:
        reason = "no such file" if os.path.exists(path) else "No such file or directory"
        raise no_files(path, reason)
    return root, files


def no_files(path: str, reason: str) -> Exception:
    remedy = "correct the path, or leave it empty for the census sample"
    problem = f"{shown(path)} cannot be opened ({reason})"
    if os.path.isdir(path):
        problem = f"{shown(path)} is a folder without a table"
    elif os.path.exists(path):
        problem, remedy = f"{shown(path)} is not a regular file", "write its content to a file"
    return refusal(PROMPT, problem, f"on this machine: {table_files.TABLES}", remedy)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open the decompressed content of a file; refuse one that cannot be read, or is no table."""
    try:
        with table_files.opened(path) as file:
            yield file
    except ImportError:
        raise refusal(
            PROMPT,
            f"{shown(path.name)} is compressed with zstd, and pyarrow is not installed with cookiecutter",
            "pyarrow, or another compression",
            f"run: pip install pyarrow (with pipx: pipx inject cookiecutter pyarrow), or zstd -d {path.name}",
        ) from None
    except table_files.NoTable as error:
        raise no_table(path, error) from None


def no_table(path: Path, error: Exception) -> Exception:
    problem = str(error).replace(str(path), shown(path.name), 1)
    return refusal(PROMPT, problem, table_files.TABLES, str(getattr(error, "remedy", "")))
