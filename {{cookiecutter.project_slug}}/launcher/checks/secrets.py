"""Secrets in job.toml and in arguments: a job is no place for them, because everybody who may see it can read them."""

import re
from collections.abc import Sequence

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
    fix = "keep it in Secret Manager, give its name (projects/PROJECT/secrets/NAME/versions/latest) instead,"
    fix += " and let the code read it"
    return [
        UserError(
            f"{where} looks like a secret",
            "none in a job, which everybody who may see it can read",
            fix,
        )
        for where, name, value in values_of(job, arguments, "environment", "arguments", "labels")
        if is_secret(name, str(value))
    ]


def is_secret(name: str, value: str) -> bool:
    """Return whether a value looks like a secret, by itself or by its name."""
    named = WORDS.search(name.strip("-").replace("-", "_"))
    return bool(VALUES.search(value) or (named and not HARMLESS.fullmatch(value)))
