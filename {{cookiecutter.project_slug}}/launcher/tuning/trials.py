"""What the trials of a local study have reported, and how many of them this machine runs in parallel."""

import contextlib
import json
import math
import os
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from launcher.console import shown

MEGABYTES_PER_TRIAL = 1_500
# The trial gives its own replicas less than half of it.


def records(path: Path) -> Iterator[dict[str, Any]]:
    """Yield what a trial has reported, in order, without a line that is incomplete."""
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError, TypeError):
                yield dict(json.loads(line))


def measurements(path: Path, metric: str) -> list[float]:
    """Return what a trial has reported of a metric, in order, NaN for a text.

    The service reads it from the same file.
    """
    return [as_number(record[metric]) for record in records(path) if metric in record]


def invalid(path: Path, metric: str) -> list[str]:
    """Return what a trial has reported of a metric that is no finite number."""
    return [
        f"{metric} is {shown(record[metric])} at step {record.get('global_step', '?')}"
        for record in records(path)
        if metric in record and not math.isfinite(as_number(record[metric]))
    ]


def as_number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def reported_names(path: Path) -> list[str]:
    others = {"checkpoint_path", "global_step", "timestamp", "trial"}
    return [name for name in dict.fromkeys(chain(*records(path))) if name not in others]


def counted(values: Sequence[float], measurement: str, goal: str) -> float | None:
    """Return the measurement that counts, None if there is none or it is not finite."""
    if not values:
        return None
    best = max if goal == "maximize" else min
    finite = [value for value in values if math.isfinite(value)]
    value = values[-1] if measurement == "last" else best(finite, default=math.nan)
    return value if math.isfinite(value) else None


def most_in_parallel(wanted: int) -> int:
    """Return how many of the wanted parallel trials this machine has cores and memory for."""
    cores = os.cpu_count() or 1
    return max(1, min(wanted, cores, memory_mb() // MEGABYTES_PER_TRIAL))


def memory_mb() -> int:
    """Return the machine's memory in megabytes, a low guess where the system does not report it."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // (1 << 20)
    except (AttributeError, OSError, ValueError):
        return 8_192
