"""The size of a drill: a sample in CI, everything in `nox -s drills`."""

import os

WHOLE = os.environ.get("DRILLS") == "whole"
# Fixed, so that failures are reproducible; `DRILLS_SEED` chooses other moments.
SEED = int(os.environ.get("DRILLS_SEED", "1"))


def many(sample: int, whole: int) -> int:
    """Return how many times something is done."""
    return whole if WHOLE else sample
