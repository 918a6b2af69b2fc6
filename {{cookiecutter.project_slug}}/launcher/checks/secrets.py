"""Secrets in job.toml and in arguments: a job is no place for them, because everybody who may see it can read them."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from launcher.checks.problem import values_of
from launcher.console import UserError
from launcher.spec.job_file import Job

WORDS = re.compile(
    r"(^|_)(TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY)(_|$)",
    re.IGNORECASE,
)
# What is no secret though its name sounds like it: a number, a switch, an address, a name in Secret Manager.
HARMLESS = re.compile(
    r"-?[0-9.]*|true|false|none|gs://.*|/.*|(projects/[^/]+/)?secrets/[^/]+(/versions/[^/]+)?",
    re.IGNORECASE,
)
VALUES = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|\bAIza[0-9A-Za-z_-]{35}|\bya29\.[0-9A-Za-z_-]{20}|\bGOCSPX-[0-9A-Za-z_-]{20}"  # Google
    r"|\b(AKIA|ASIA)[0-9A-Z]{16}\b"  # AWS
    r"|\b(ghp|gho|ghs|github_pat)_[0-9A-Za-z_]{20}|\bglpat-[0-9A-Za-z_-]{20}"
    r"|\bhf_[0-9A-Za-z]{30}|\bsk-[0-9A-Za-z_-]{20}|\bxox[abpr]-[0-9A-Za-z-]{10}"
    r"|\beyJ[0-9A-Za-z_-]{10,}\.eyJ[0-9A-Za-z_-]{10,}\."  # a JSON web token
    r"|\w+://[^\s/:@]+:[^\s/:@]+@"  # an address with a password
    r'|"type":\s*"service_account"'
)


def secret_findings(job: Job, arguments: Sequence[str]) -> list[UserError]:
    """Return one finding for each value of the job that looks like a secret; its text is never shown."""
    values = [*values_of(job, "environment", "arguments", "labels")]
    values += [(f"the argument {flag}", flag, value) for flag, value in flags_of(arguments)]
    return [secret(where) for where, name, value in values if is_secret(name, str(value))]


def flags_of(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each flag with its value, whether that stands behind `=` or alone."""
    for argument, following in pairwise([*arguments, ""]):
        flag, equals, value = argument.partition("=")
        if flag.startswith("--"):
            yield flag, value if equals else following


def is_secret(name: str, value: str) -> bool:
    """Return whether a value looks like a secret, by itself or by its name."""
    if VALUES.search(value):
        return True
    named = WORDS.search(name.strip("-").replace("-", "_"))
    return bool(named) and not HARMLESS.fullmatch(value)


def secret(where: str) -> UserError:
    return UserError(
        f"{where} looks like a secret",
        "none in a job, which everybody who may see it can read",
        "keep it in Secret Manager, give its name (projects/PROJECT/secrets/NAME/versions/latest) instead,"
        " and let the code read it",
    )
