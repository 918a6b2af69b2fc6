"""Errors of Google's services, as errors of the launcher."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

from launcher.console import UserError

Service = tuple[str, str]
LOG_IN = "gcloud auth application-default login"
REQUEST = re.compile(r"^[A-Z]+ https?://\S+: ")
"""What Google's libraries put before the message of a service."""
RETRYABLE_CODES = (408, 429)
"""Codes after which a request may be repeated. Source: https://cloud.google.com/storage/docs/retry-strategy"""
FIRST_CODE_OF_SERVER = 500

JOBS = ("aiplatform.googleapis.com", "roles/aiplatform.user")
STORAGE = ("storage.googleapis.com", "roles/storage.objectAdmin")
LOGGING = ("logging.googleapis.com", "roles/logging.viewer")
BUILDS = ("cloudbuild.googleapis.com", "roles/cloudbuild.builds.editor")
"""Of each service, its API and the role that its requests need."""

ADVICE = {
    400: ("what the service accepts", "correct what it names, most likely in job.toml"),
    401: ("credentials that are valid", LOG_IN),
    403: (
        "an account with {role}, in a project whose API is enabled",
        "gcloud services enable {api}, or ask the project's owner for the role",
    ),
    404: ("a resource that exists", "correct project, region or bucket in job.toml"),
    429: (
        "a quota that allows the job; each region has its own",
        "choose smaller machines or another region, or ask for more at https://console.cloud.google.com/iam-admin/quotas",
    ),
}
OTHER_ADVICE = ("a request that the service accepts", "correct what it names")


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
        api, role = service
        advice = [text.format(api=api, role=role) for text in ADVICE.get(code, OTHER_ADVICE)]
        super().__init__(f"{doing}: {one_line(message)} (HTTP {code})", *advice)
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
