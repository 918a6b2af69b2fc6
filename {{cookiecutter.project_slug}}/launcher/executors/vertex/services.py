"""Google's services: their addresses, credentials and requests, and their errors as errors of the launcher.

Google's libraries take a second to import, so they are imported where they are needed.
"""

import errno
import importlib
import json
import logging
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from launcher.console import UserError
from launcher.files import read_json
from launcher.spec.catalog import google_cloud

LOG_IN = "gcloud auth application-default login"
REQUEST = re.compile(r"^[A-Z]+ https?://\S+: ")
"""What Google's libraries put before the message of a service."""
RETRYABLE_CODES = (408, 429)
"""Codes after which a request may be repeated. Source: https://cloud.google.com/storage/docs/retry-strategy"""
FIRST_CODE_OF_SERVER = 500
FULL = (errno.ENOSPC, errno.EDQUOT)

ADVICE = read_json(Path(__file__).with_name("advice.json"))
"""What is expected, and what to do, by the code of a refusal."""
Service = Mapping[str, str]
"""One of those in google_cloud.json."""
JOBS: Service = google_cloud()["services"]["jobs"]
STORAGE: Service = google_cloud()["services"]["storage"]
LOGGING: Service = google_cloud()["services"]["logging"]
BUILDS: Service = google_cloud()["services"]["builds"]
SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
RESPONSE_SECONDS = 60.0
"""How long to wait for a response."""


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
        self.code = code


class NotFound(RequestRefused):
    """What a request names does not exist."""


class AlreadyExists(RequestRefused):
    """What a request would create is there, or what it would replace has changed."""


REFUSALS = {404: NotFound, 409: AlreadyExists, 412: AlreadyExists}
"""The errors for codes; `RequestRefused` for all others."""


@contextmanager
def explained(
    doing: str, service: Service = JOBS, retryable: tuple[int, ...] = RETRYABLE_CODES
) -> Iterator[None]:
    """Turn what Google's libraries raise into `RequestRefused` or, if it says nothing about the request, `NoResponse`.

    Codes in `retryable` count as no response, like all those of a server's own errors.
    """
    from google.api_core.exceptions import GoogleAPICallError, RetryError
    from google.auth.exceptions import GoogleAuthError, TransportError

    try:
        yield
    except (RetryError, TransportError, OSError) as error:  # those of requests are OSErrors
        if isinstance(error, OSError) and error.errno in FULL:
            what, fix = f"{doing}: {error.strerror}", "free some, and run it again"
            raise UserError(what, "space on the disk of this machine", fix) from error
        raise NoResponse(doing, error) from error
    except GoogleAuthError as error:
        first_sentence = one_line(str(error)).partition(". ")[0]
        what = f"no credentials for Google Cloud were found ({first_sentence})"
        raise UserError(what, "Application Default Credentials", LOG_IN) from error
    except GoogleAPICallError as error:
        code = int(error.code or FIRST_CODE_OF_SERVER)
        if code >= FIRST_CODE_OF_SERVER or code in retryable:
            raise NoResponse(doing, error) from error
        refused = REFUSALS.get(code, RequestRefused)
        raise refused(doing, code, message_of(str(error.message)), service) from error


def message_of(message: str) -> str:
    """Return the message of a service without the request and without the JSON that some clients leave around it."""
    text = REQUEST.sub("", message)
    try:
        return str(json.JSONDecoder().raw_decode(text)[0]["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return text


def one_line(text: str) -> str:
    return " ".join(text.split()).rstrip(".") or "no message"


class Rest:
    """The REST interface of a service: requests to it, and their responses as JSON."""

    def __init__(
        self, service: Service, project: str, region: str = "", seconds: float = RESPONSE_SECONDS
    ) -> None:
        """Read the credentials, without a request. Raises `UserError` without the library or credentials."""
        self.seconds = seconds
        requests = load("google.auth.transport.requests")
        override = os.environ.get(service["override"], "").rstrip("/")
        self.endpoint = override or service["endpoint"].format(region=region)
        self.session = requests.AuthorizedSession(credentials(override, project))

    def call(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        """Return the response to a request with `json` or `params`; raises what `explained` takes."""
        from google.api_core.exceptions import from_http_response

        address = f"{self.endpoint}/{path}"
        response = self.session.request(method, address, timeout=self.seconds, **content)
        if not response.ok:
            raise from_http_response(response)
        return dict(response.json())

    def items(
        self, name: str, method: str, path: str, content: dict[str, Any]
    ) -> Iterator[dict[str, Any]]:
        """Yield the resources called `name` in the pages of a list."""
        field = "params" if method == "GET" else "json"
        while True:
            page = self.call(method, path, **{field: content})
            yield from page.get(name, [])
            if not page.get("nextPageToken"):
                return
            content = {**content, "pageToken": page["nextPageToken"]}


def load(module: str) -> Any:
    """Import a library of Google's without its warnings: they hide what matters, which is raised.

    Raises `UserError` if it is missing.
    """
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(
            f"the SDK of Google Cloud is not installed ({error})",
            "google-cloud-storage in the launcher's environment",
            "start with nox -s submit, which installs it",
        ) from error


def credentials(endpoint: str, project: str) -> Any:
    """Return Application Default Credentials, none for a double on this machine; raise `UserError` if there are none."""
    import google.auth
    from google.auth.credentials import AnonymousCredentials
    from google.oauth2.credentials import Credentials

    if is_loopback(endpoint):
        return AnonymousCredentials()
    with explained("the credentials"):
        default, _ = google.auth.default(scopes=SCOPES)
    # A person's credentials need a project that is charged for the requests.
    if isinstance(default, Credentials) and not default.quota_project_id:
        return default.with_quota_project(project)
    return default


def is_loopback(endpoint: str) -> bool:
    """Return whether an address is a double's: plain HTTP, on this machine."""
    url = urlsplit(endpoint)
    return url.scheme == "http" and url.hostname in ("127.0.0.1", "localhost", "::1")
