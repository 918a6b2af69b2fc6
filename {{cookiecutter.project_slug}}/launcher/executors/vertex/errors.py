"""What Google's services say when they do not do what was asked, in the words of the launcher."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

from launcher.console import UserError

LOG_IN = "gcloud auth application-default login"
REQUEST = re.compile(r"^[A-Z]+ https?://\S+: ")
"""What Google's libraries put before the words of a service."""
BUSY = (408, 429)
"""Codes that ask for patience. Source: https://cloud.google.com/storage/docs/retry-strategy"""
FIRST_CODE_OF_SERVER = 500

ADVICE = {
    400: ("what the service accepts", "correct what it names, most likely in job.toml"),
    401: ("credentials that are valid", LOG_IN),
    403: (
        "an account with roles/aiplatform.user and roles/storage.objectAdmin, in a project whose API is enabled",
        "gcloud services enable aiplatform.googleapis.com, or ask the project's owner for the role that is named",
    ),
    404: ("something that exists", "correct project, region or bucket in job.toml"),
    409: ("a name that is free", "choose another name"),
    412: ("nothing there yet", "run it again"),
    429: (
        "a quota that allows the job; each region has its own",
        "choose smaller machines or another region, or ask for more at https://console.cloud.google.com/iam-admin/quotas",
    ),
}
OTHER_ADVICE = ("a request that the service takes", "correct what it names")


class Unanswered(UserError):
    """No answer came, or none about what was asked: it may have been done all the same."""

    def __init__(self, doing: str, error: Exception) -> None:
        super().__init__(
            f"{doing}: no answer ({one_line(str(error))})",
            "an answer of Google Cloud",
            "check the network, then run the same command again: nothing is done twice",
        )


class Refusal(UserError):
    """The service said no."""

    def __init__(self, doing: str, code: int, message: str) -> None:
        expected, remedy = ADVICE.get(code, OTHER_ADVICE)
        super().__init__(f"{doing}: {one_line(message)} (HTTP {code})", expected, remedy)
        self.code = code


@contextmanager
def explained(doing: str, patient_with: tuple[int, ...] = BUSY) -> Iterator[None]:
    """Turn what Google's libraries raise into `Refusal` or, if it says nothing about the request, `Unanswered`.

    Codes in `patient_with` count as no answer, like all those of a server's own errors.
    """
    import requests
    from google.api_core.exceptions import GoogleAPICallError, RetryError
    from google.auth.exceptions import GoogleAuthError, TransportError

    try:
        yield
    except (RetryError, TransportError, requests.RequestException, OSError) as error:
        raise Unanswered(doing, error) from error
    except GoogleAuthError as error:
        raise no_credentials(error) from error
    except GoogleAPICallError as error:
        code = int(error.code or FIRST_CODE_OF_SERVER)
        if code >= FIRST_CODE_OF_SERVER or code in patient_with:
            raise Unanswered(doing, error) from error
        raise Refusal(doing, code, words_of(str(error.message))) from error


def no_credentials(error: Exception) -> UserError:
    """Return what to do about credentials that are missing or have expired."""
    first_sentence = one_line(str(error)).partition(". ")[0]
    return UserError(
        f"Google Cloud has no credentials from here ({first_sentence})",
        "Application Default Credentials",
        LOG_IN,
    )


def words_of(message: str) -> str:
    """Return what a service said, without the request, and out of the JSON that some clients leave around it."""
    words = REQUEST.sub("", message)
    try:
        return str(json.JSONDecoder().raw_decode(words)[0]["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return words


def one_line(text: str) -> str:
    """Return text without its line breaks."""
    return " ".join(text.split()).rstrip(".") or "nothing said"
