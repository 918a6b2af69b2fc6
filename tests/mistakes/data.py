"""Mistakes in the table and its columns."""

import random
from pathlib import Path

from tests.mistakes.changes import (
    FEATURES,
    JOB,
    Mistake,
    Plant,
    key,
    local,
    swap,
)
from tests.sessions import Change

WHAT = {
    24: "columns, label or split that do not fit the table",
    25: "the order of the file's columns has changed",
}


def without(name: str) -> Change:
    """Return a change that removes a column from features.py."""
    return lambda text: "".join(line for line in text.splitlines(True) if f'"{name}": ' not in line)


def shuffled_columns(project: Path) -> Change:
    """Return a change that has job.toml name the census sample with its columns in another order."""
    import gzip

    rows = gzip.decompress((project / "data" / "adult.data.gz").read_bytes()).decode().splitlines()
    order = random.Random(1).sample(range(15), 15)
    lines = [[row.split(", ")[place] for place in order] for row in rows if row.count(", ") == 14]
    path = project.parent / "shuffled.csv"
    path.write_text("".join(", ".join(cells) + "\n" for cells in lines), encoding="utf-8")
    return swap("data/adult.data.gz", str(path))


PLANTS: tuple[Plant, ...] = ()

RUNS: tuple[Mistake, ...] = (
    local("24", FEATURES, without("age"), "has a column 'age' that trainer/features.py does not name"),
    local("24 a column that is not there", FEATURES, swap('"age": ', '"agee": '), "did you mean 'age'?"),
    local("24 another type", FEATURES, swap('"workclass": "categorical"', '"workclass": "numeric"'), "is not a finite number"),
    local("24 an empty split", JOB, key("eval_share", "0.0"), "the eval split has no rows"),
)  # fmt: skip
