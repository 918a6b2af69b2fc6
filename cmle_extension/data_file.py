"""The files that `data_path` names: a file, a folder or a pattern; read as the generated project reads them."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from .refusal import refusal, shown
from .shared import table_files

PROMPT = "data_path"


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
    if "gs:/" in path:
        remedy = (
            "copy a file of it here first, with gcloud storage cp; the project reads gs:// itself: write it"
            " as train in job.toml then"
        )
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
