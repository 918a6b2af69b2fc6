"""What replicas used that only this machine has: read from their working folders and what start_module.py recorded."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from launcher.console import UserError, shown

OUTPUTS = "all outputs below the folder that --job-dir or AIP_MODEL_DIR names, because a cloud job loses the others"
PACKAGE = "add the file to the package, as package_data in setup.py, or put it into the bucket"
MOST_NAMED = 5


def path_findings(folder: Path, failed: bool) -> list[UserError]:
    """Return what a finished job's replicas, each with a folder below `folder`, read and wrote elsewhere.

    Of a failed job it is what they looked for in HOME, which may be why.
    """
    found = missing(folder) if failed else (*written(folder), *read(folder))
    return list(islice(found, MOST_NAMED))


def records(folder: Path, how: str) -> list[str]:
    lines = {
        line for file in folder.glob("*/paths") for line in file.read_text("utf-8").splitlines()
    }
    return sorted(path for use, path in map(json.loads, lines) if use == how)


def written(folder: Path) -> Iterator[UserError]:
    names = sorted({path.name for path in folder.glob("*/work/*")})
    left = [f"{shown(name)} into its working folder" for name in names]
    for what in (*left, *(path for path in records(folder, "writes") if Path(path).exists())):
        yield UserError(f"training wrote {what}", OUTPUTS, "write to a path below that folder")


def read(folder: Path) -> Iterator[UserError]:
    for path in records(folder, "reads"):
        yield UserError(
            f"training read {path}, which a machine in the cloud does not have",
            "reads from the package, the prepared data and the outputs alone",
            PACKAGE,
        )


def missing(folder: Path) -> Iterator[UserError]:
    # Libraries look for settings of theirs in hidden folders.
    for path in (path for path in records(folder, "misses") if not path.startswith("~/.")):
        expected = "nothing in the home folder, which is empty on a machine in the cloud"
        yield UserError(f"training looked for {path}", expected, PACKAGE)
