"""Errors of Google's services, as errors of the launcher."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from launcher.console import UserError

LOG_IN = "gcloud auth application-default login"
REQUEST = re.compile(r"^[A-Z]+ https?://\S+: ")
"""What Google's libraries put before the message of a service."""
RETRYABLE_CODES = (408, 429)
"""Codes after which a request may be repeated. Source: https://cloud.google.com/storage/docs/retry-strategy"""
FIRST_CODE_OF_SERVER = 500

TABLES = json.loads(Path(__file__).with_name("services.json").read_text(encoding="utf-8"))
ADVICE = TABLES["advice"]
"""What is expected, and what to do, by the code of a refusal."""
Service = Mapping[str, str]
"""The address of a service, the variable that replaces it, its API, and the role that its requests need."""
JOBS: Service = TABLES["services"]["jobs"]
STORAGE: Service = TABLES["services"]["storage"]
LOGGING: Service = TABLES["services"]["logging"]
BUILDS: Service = TABLES["services"]["builds"]


class NoResponse(UserError):
    """No definitive response: the request may still have taken effect."""

    def __init__(self, doing: str, error: Exception) -> None:
        super().__init__(
            f"{doing}: no response ({one_line(str(error))})",
            "a response of Google Cloud",
            "check the network, then run the same command again: no job is created twice",
        )


class RequestRefused(UserError):
    def __init__(self, doing: str, code: int, message: str, service: Service = JOBS) -> None:
        expected, remedy = ADVICE.get(str(code), ADVICE["other"])
        what = f"{doing}: {one_line(message)} (HTTP {code})"
        super().__init__(what, expected.format(**service), remedy.format(**service))
        self.code, self.reason = code, one_line(message)


@contextmanager
def explained(
    doing: str, service: Service = JOBS, retryable: tuple[int, ...] = RETRYABLE_CODES
) -> Iterator[None]:
    """Turn what Google's libraries raise into `RequestRefused` or, if it says nothing about the request, `NoResponse`.

    Codes in `retryable` count as no response, like all those of a server's own errors.
    """
    import requests
    from google.api_core.exceptions import GoogleAPICallError, RetryError
    from google.auth.exceptions import GoogleAuthError, TransportError

    try:
        yield
    except (RetryError, TransportError, requests.RequestException, OSError) as error:
        raise NoResponse(doing, error) from error
    except GoogleAuthError as error:
        first_sentence = one_line(str(error)).partition(". ")[0]
        what = f"no credentials for Google Cloud were found ({first_sentence})"
        raise UserError(what, "Application Default Credentials", LOG_IN) from error
    except GoogleAPICallError as error:
        code = int(error.code or FIRST_CODE_OF_SERVER)
        if code >= FIRST_CODE_OF_SERVER or code in retryable:
            raise NoResponse(doing, error) from error
        raise RequestRefused(doing, code, message_of(str(error.message)), service) from error


def message_of(message: str) -> str:
    """Return the message of a service without the request and without the JSON that some clients leave around it."""
    text = REQUEST.sub("", message)
    try:
        return str(json.JSONDecoder().raw_decode(text)[0]["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return text


def one_line(text: str) -> str:
    return " ".join(text.split()).rstrip(".") or "no message"
