"""What a server is started with."""

import dataclasses
import json
import os
from dataclasses import dataclass

OPTIONS_VARIABLE = "SERVER_OPTIONS"
"""Holds the options as JSON, for the processes that uvicorn starts."""
COUNTS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""A folder in which prometheus_client adds up what the processes count."""


@dataclass(frozen=True)
class ServerOptions:
    model: str
    predict_route: str
    health_route: str
    most_bytes: int
    timeout_seconds: float
    failure: str = ""
    """The file that says why a worker could not start."""

    def to_variable(self) -> None:
        os.environ[OPTIONS_VARIABLE] = json.dumps(dataclasses.asdict(self))


def options_of_variable() -> ServerOptions:
    return ServerOptions(**json.loads(os.environ[OPTIONS_VARIABLE]))
