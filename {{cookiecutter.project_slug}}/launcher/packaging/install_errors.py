"""Why uv could not install the requirements: the cause in its output, and what helps."""

import platform
import re

from launcher.console import UserError
from launcher.packaging.distributions import distribution_like

PYTHON = ".".join(platform.python_version_tuple()[:2])
NOISE = re.compile(
    r"[^\x00-\x7f]|\(e\.g\., [^)]*\)|\b(error|cause):|hint: (You require|Wheels are).*"
)
MARKER = re.compile(r"\{[^}]*\}")
REASON = re.compile(r"[Bb]ecause (.*?),? we can conclude")
PROJECT = re.compile(r"you require ([\w.-]+)(?:\[[^\]]*\])?, we can conclude that your")
LONGEST_REASON = 300

# What uv writes, what that means ("" for the reason that uv gives), and what helps; {0} is the first group that matched.
CAUSES = (
    (r"invalid peer certificate", "the certificate of the package index is not trusted here",
     "name the file of your certificates in SSL_CERT_FILE"),
    (r"HTTP status .*?\((\d+)[^)]*\) for url \((\S+?)\)", "{1} responds with status {0}",
     "correct the address, or your credentials for it"),
    (r"Failed to fetch: `?(\S+?)`? .*(?:error sending|time)|'(\S+)/': Could not resolve host",
     "no response from {0}", "check the network, and the index and proxy in UV_INDEX_URL and HTTPS_PROXY"),
    (r"network was disabled", "UV_OFFLINE disables the network", "unset UV_OFFLINE"),
    (r"No space left", "the disk is full", "free some space"),
    (r"Distribution not found at: (\S+)", "there is no package at {0}",
     "require one from a package index in setup.py, or move its code below trainer/"),
    (r"Git operation failed", "git cannot fetch a requirement", "correct its address in setup.py, or your access to it"),
    (r"Hash mismatch for `([^`]+)`", "{0} is not the file that requirements.lock pins", "run nox -s lock"),
    (r"`(\S+)` is often confused for `(\S+)`", "{0} is not the name of the distribution", "write {1} in setup.py"),
    (r"[Ff]ailed to (?:download and )?build `([^`]+)`",
     "{0} has no wheel for Python {python} here, and building it from its source fails",
     "require a version with a wheel in setup.py (-v shows the build's output)"),
    (r"(\S+) was not found in the package registry", "", "correct the name in setup.py{guess}"),
    (r"satisfy Python\S+ and setup.py", "", "lower python_requires in setup.py, or start nox with that Python"),
    (r"satisfy Python\S+ and (\S+?)[<=>!~]", "", "require a version of {0} for Python {python} in setup.py"),
    (r"(\S+?)(?:[<=>!~]\S+)? has no wheels with a matching platform", "",
     "remove {0} from setup.py, or add a marker such as ; sys_platform == 'win32'"),
    (r"(\S+?)(?:[<=>!~]\S+)? has no wheels with a matching", "",
     "require a version of {0} with a wheel for Python {python} in setup.py"),
    (r"no version of (\S+?)[<=>!~]|only ([^<=>!~ ]+)[<=>!~]\S* is available and \S+ (?:depends on|requires) \2", "",
     "require a version of {0} that https://pypi.org/project/{0}/#history lists, in setup.py"),
    (r"(\S+) has invalid metadata", "", "require another version than {0} in setup.py"),
    (r"No solution found", "",
     "widen one of these requirements in setup.py, or run nox -s lock if requirements.lock pins one of them"),
)  # fmt: skip


def install_error(output: str, purpose: str) -> UserError:
    """Return the cause of a failed installation; `purpose` names the environment."""
    text = of_setup(" ".join(NOISE.sub(" ", MARKER.sub("", output)).split()))
    names, meaning, remedy = cause_in(text)
    guess = distribution_like(names[0]) if names else ""
    facts = {"python": PYTHON, "guess": f": write {guess}" if guess else ""}
    what = meaning.format(*names, **facts) or reason_of(text)
    expected = f"requirements in setup.py that can be installed together with Python {PYTHON}"
    remedy = remedy.format(*names, **facts)
    return UserError(f"the {purpose} cannot be built: {what}", expected, remedy)


def cause_in(text: str) -> tuple[list[str], str, str]:
    """Return the names in the first of the `CAUSES` that uv's output has, its meaning and its remedy."""
    for pattern, meaning, remedy in CAUSES:
        if found := re.search(pattern, text):
            return [group for group in found.groups() if group], meaning, remedy
    return [], "uv fails", "read the output of uv, which -v shows"


def of_setup(text: str) -> str:
    """Return uv's text with setup.py in place of the project's own distribution."""
    project = PROJECT.search(text)
    name = rf"{re.escape(project[1])}(\[[\w,-]+\])?(==[\w.]+)?" if project else "$^"
    return re.sub(
        rf"{name} (depends on|requires)",
        "setup.py requires",
        re.sub(f"require {name}", "require itself", text),
    )


def reason_of(text: str) -> str:
    """Return why there is no solution, in uv's words, from its last sentences."""
    sentences = [each for each in REASON.findall(text) if "require itself" not in each]
    while len(sentences) > 1 and len("; ".join(sentences)) > LONGEST_REASON:
        del sentences[0]
    return "; ".join(sentences)
