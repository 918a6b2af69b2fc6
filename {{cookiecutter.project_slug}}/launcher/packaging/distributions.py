"""Distributions on PyPI: those that are named unlike their module, and popular ones."""

import functools
import json
from pathlib import Path
from typing import Any

from launcher.console import nearest


@functools.cache
def distributions() -> dict[str, Any]:
    return dict(json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8")))


def distribution_of(package: str) -> str:
    """Return the normalised name of the distribution that most likely has a package."""
    # Imported here: it takes longer than the rest of --help.
    from packaging.utils import canonicalize_name

    return canonicalize_name(distributions()["modules"].get(package, package))


def distribution_like(name: str) -> str:
    """Return the distribution that a name most likely stands for, or ""."""
    modules = distributions()["modules"]
    return modules.get(name) or nearest(name, [*modules.values(), *distributions()["popular"]])
