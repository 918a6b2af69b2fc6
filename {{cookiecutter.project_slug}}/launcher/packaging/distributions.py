"""Distributions on PyPI: which one has a package, and why uv could not install some."""

import functools
import json
import platform
import re
from pathlib import Path
from typing import Any

from launcher.console import UserError, nearest

PYTHON = ".".join(platform.python_version_tuple()[:2])
NOISE = re.compile(
    r"[^\x00-\x7f]|\(e\.g\., [^)]*\)|\b(error|cause):|hint: (You require|Wheels are).*"
)
MARKER = re.compile(r"\{[^}]*\}")
REASON = re.compile(r"[Bb]ecause (.*?),? we can conclude")
PROJECT = re.compile(r"you require ([\w.-]+)(?:\[[^\]]*\])?, we can conclude that your")
LONGEST_REASON = 300


@functools.cache
def distributions() -> dict[str, Any]:
    """Return what is known: `modules` that are named unlike their distribution, `popular` ones, and `install_errors`."""
    return dict(json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8")))


def distribution_of(package: str) -> str:
    """Return the normalised name of the distribution that most likely has a package."""
    # Imported here: it takes longer than the rest of --help.
    from packaging.utils import canonicalize_name

    return canonicalize_name(distributions()["modules"].get(package, package))


def install_error(output: str, purpose: str) -> UserError:
    """Return the cause of a failed installation; `purpose` names the environment."""
    text = of_setup(" ".join(NOISE.sub(" ", MARKER.sub("", output)).split()))
    names, meaning, remedy = cause_in(text)
    modules, popular = (distributions()[key] for key in ("modules", "popular"))
    known = [*modules.values(), *popular]
    guess = modules.get(names[0]) or nearest(names[0], known) if names else ""
    facts = {"python": PYTHON, "guess": f": write {guess}" if guess else ""}
    what = meaning.format(*names, **facts) or reason_of(text)
    expected = f"requirements in setup.py that can be installed together with Python {PYTHON}"
    remedy = remedy.format(*names, **facts)
    return UserError(f"the {purpose} cannot be built: {what}", expected, remedy)


def cause_in(text: str) -> tuple[list[str], str, str]:
    """Return the names in the first of the known errors that uv's output has, its meaning and its remedy.

    An empty meaning stands for the reason that uv gives, {0} for the first group that the pattern matched.
    """
    for case in distributions()["install_errors"]:
        if found := re.search(case["pattern"], text):
            return [group for group in found.groups() if group], case["meaning"], case["remedy"]
    return [], "uv fails", "read the output of uv, which -v shows"


def of_setup(text: str) -> str:
    """Return uv's text with setup.py in place of the project's own distribution."""
    if not (project := PROJECT.search(text)):
        return text
    name = rf"{re.escape(project[1])}(\[[\w,-]+\])?(==[\w.]+)?"
    text = re.sub(f"require {name}", "require itself", text)
    return re.sub(f"{name} (depends on|requires)", "setup.py requires", text)


def reason_of(text: str) -> str:
    """Return why there is no solution, in uv's words, from its last sentences."""
    sentences = [each for each in REASON.findall(text) if "require itself" not in each]
    while len(sentences) > 1 and len("; ".join(sentences)) > LONGEST_REASON:
        del sentences[0]
    return "; ".join(sentences)
