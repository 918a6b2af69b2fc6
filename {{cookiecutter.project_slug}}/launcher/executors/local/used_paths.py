"""What replicas used that only this machine has: read from their working folders and what start_module.py recorded."""

import json
import os
from pathlib import Path

from launcher.console import UserError, shown

PACKAGE = "add the file to the package, as package_data in setup.py, or put it into the bucket"
MESSAGES = {
    "writes": (
        "training wrote {}",
        "all outputs below the folder that --job-dir or AIP_MODEL_DIR names, because a cloud job loses the others",
        "write to a path below that folder",
    ),
    "reads": (
        "training read {}, which a machine in the cloud does not have",
        "reads from the package, the prepared data and the outputs alone",
        PACKAGE,
    ),
    "misses": (
        "training looked for {}",
        "nothing in the home folder, which is empty on a machine in the cloud",
        PACKAGE,
    ),
}
MOST_NAMED = 5


def path_findings(folder: Path, failed: bool) -> list[UserError]:
    """Return what a finished job's replicas, each with a folder below `folder`, read and wrote elsewhere.

    Of a failed job it is what they looked for in HOME, which may be why.
    """
    used: dict[str, set[str]] = {how: set() for how in MESSAGES}
    for record in folder.glob("*/paths"):
        for how, path in map(json.loads, record.read_text("utf-8").splitlines()):
            used[how].add(path)
    left = {f"{shown(path.name)} into its working folder" for path in folder.glob("*/work/*")}
    used["writes"] = left.union(filter(os.path.exists, used["writes"]))
    # Libraries look for settings of theirs in hidden folders.
    used["misses"] = {path for path in used["misses"] if not path.startswith("~/.")}
    found = [
        UserError(MESSAGES[how][0].format(path), *MESSAGES[how][1:])
        for how in (["misses"] if failed else ["writes", "reads"])
        for path in sorted(used[how])
    ]
    return found[:MOST_NAMED]
