"""Predictions of an HTTP endpoint: `nox -s serve` here, or one of Vertex AI."""

import contextlib
import http.client
import json
import os
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainer.run.errors import UserError, shown

ADDRESS = "the address of an endpoint, such as http://127.0.0.1:8080/predict"
TOKEN_VARIABLE = "ACCESS_TOKEN"
# Of a shared public endpoint.
# Source: https://cloud.google.com/vertex-ai/docs/predictions/choose-endpoint-type
MOST_BYTES, TIMEOUT_SECONDS = 1_500_000, 60.0
BUSY, NOT_THERE = (429, 503), (401, 403, 404, 405)
TOO_LARGE = "Response size too large"
WAITS_SECONDS = (1, 2, 4, 8, 16)

Instances = Sequence[Mapping[str, str]]


class EveryStatus(urllib.request.HTTPErrorProcessor):
    """Returns each response as it is, a redirect too: another host would get the token, and a POST become a GET."""

    def http_response(self, request: Any, response: Any) -> Any:
        return response

    https_response = http_response


OPENER = urllib.request.build_opener(EveryStatus)


@dataclass(frozen=True)
class Endpoint:
    """An address that takes instances; only https gets the token of TOKEN_VARIABLE."""

    url: str

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise UserError(f"--url is {shown(self.url)}", ADDRESS, "correct --url")

    def predictions(self, instances: Instances, place: str, first: int) -> list[dict[str, Any]]:
        """Return a prediction for each instance, those of row `first` on of a file.

        Raises `UserError` for what the endpoint refuses, with the number of the row if the response names it.
        """
        body = json.dumps({"instances": instances}).encode()
        is_large, status, response = len(body) > MOST_BYTES, 0, dict[str, Any]()
        if not is_large or len(instances) == 1:
            status, response = self.response(body)
            is_large = TOO_LARGE in message_of(response)
        if is_large and len(instances) > 1:
            half = len(instances) // 2
            before = self.predictions(instances[:half], place, first)
            return before + self.predictions(instances[half:], place, first + half)
        if status in NOT_THERE:
            what = f"{self.url} returns HTTP {status}: {message_of(response)}"
            raise UserError(what, ADDRESS, f"correct --url, or set {TOKEN_VARIABLE}")
        if status != 200:
            where = f"{place}, {rows_of(response, first, len(instances))}"
            what = f"{self.url} refuses {where} (HTTP {status}: {message_of(response)})"
            raise UserError(what, "rows that the model takes", "correct them, or --url")
        predictions: Any = response.get("predictions")
        count = len(predictions) if isinstance(predictions, list) else 0
        if count != len(instances):
            what = f"{self.url} returns {count} predictions of {len(instances)} rows"
            raise UserError(what, "one for each", "see the server's log")
        return [each if isinstance(each, dict) else {"prediction": each} for each in predictions]

    def response(self, body: bytes) -> tuple[int, dict[str, Any]]:
        """Return status and content, after waits while the endpoint is busy."""
        for seconds in (*WAITS_SECONDS, None):
            status, content = self.sent(body)
            if status not in BUSY or seconds is None:
                break
            time.sleep(seconds)
        try:
            found = json.loads(content)
        except (ValueError, RecursionError):
            found = content.decode("utf-8", "replace")
        return status, contained(found) if isinstance(found, dict) else {"error": found}

    def sent(self, body: bytes) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/json"}
        # Without TLS, whoever passes the request on could read it.
        if (token := os.environ.get(TOKEN_VARIABLE)) and self.url.startswith("https://"):
            headers["Authorization"] = f"Bearer {token}"
        try:
            request = urllib.request.Request(self.url, body, headers)
            with OPENER.open(request, timeout=TIMEOUT_SECONDS) as response:
                return response.status, response.read()
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise UserError(
                f"{self.url} cannot be reached ({reason})",
                ADDRESS,
                "start `nox -s serve`, or correct --url",
            ) from error


def contained(response: dict[str, Any]) -> dict[str, Any]:
    """Return the response of a model's container, which Vertex AI puts as text into the message of its own error."""
    found: Any = response
    with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
        found = json.loads(response["error"]["message"])
        found = json.loads(found) if isinstance(found, str) else found
    return found if isinstance(found, dict) else response


def message_of(response: Mapping[str, Any]) -> str:
    """Return the message of a server of ours, or of Google's services."""
    error = response.get("error")
    return str(error.get("message") if isinstance(error, dict) else error)[:500]


def rows_of(response: Mapping[str, Any], first: int, count: int) -> str:
    """Return which row the response names as invalid, or all `count` rows of the request if it names none."""
    match response.get("instances"):
        case [int(number), *_]:
            return f"row {first + number - 1}"
    return f"rows {first} to {first + count - 1}" if count > 1 else f"row {first}"
