"""Distributions on PyPI: which one has a package, and why uv could not install some."""

import platform
import re
from pathlib import Path

from launcher.console import UserError, nearest
from launcher.files import read_json

PYTHON = ".".join(platform.python_version_tuple()[:2])
NOISE = re.compile(
    r"[^\x00-\x7f]|\(e\.g\., [^)]*\)|\b(error|cause):|hint: (You require|Wheels are).*"
)
MARKER = re.compile(r"\{[^}]*\}")
REASON = re.compile(r"[Bb]ecause (.*?),? we can conclude")
PROJECT = re.compile(r"you require ([\w.-]+)(?:\[[^\]]*\])?, we can conclude that your")
LONGEST_REASON = 300
TABLES = read_json(Path(__file__).with_suffix(".json"))
"""What is known: `modules` that are named unlike their distribution, `popular` ones, and `install_errors`."""


def distribution_of(package: str) -> str:
    """Return the normalised name of the distribution that most likely has a package."""
    # Imported here: it takes longer than the rest of --help.
    from packaging.utils import canonicalize_name

    return canonicalize_name(TABLES["modules"].get(package, package))


def install_error(output: str, purpose: str) -> UserError:
    """Return the cause of a failed installation, from the first known error in uv's output; `purpose` names the environment.

    In the table an empty meaning stands for the reason that uv gives, {0} for the first group that the pattern matched.
    """
    text = of_setup(" ".join(NOISE.sub(" ", MARKER.sub("", output)).split()))
    matches = ((case, re.search(case["pattern"], text)) for case in TABLES["install_errors"])
    case, groups = next((case, match.groups()) for case, match in matches if match)
    names, modules = [group for group in groups if group], TABLES["modules"]
    known = [*modules.values(), *TABLES["popular"]]
    guess = modules.get(names[0]) or nearest(names[0], known) if names else ""
    facts = {"python": PYTHON, "guess": f": write {guess}" if guess else ""}
    what = case["meaning"].format(*names, **facts) or reason_of(text)
    expected = f"requirements in setup.py that can be installed together with Python {PYTHON}"
    remedy = case["remedy"].format(*names, **facts)
    return UserError(f"the {purpose} cannot be built: {what}", expected, remedy)


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
