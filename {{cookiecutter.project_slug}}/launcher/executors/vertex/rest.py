"""Requests to Google's services: their addresses, credentials and responses.

Their libraries take a second to import, so they are imported where they are needed.
"""

import importlib
import logging
import os
import warnings
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from launcher.console import UserError
from launcher.executors.vertex.errors import Service, explained

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
RESPONSE_SECONDS = 60.0
"""How long to wait for a response."""


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
