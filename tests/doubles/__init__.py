"""Doubles of Cloud Storage and the job service on the loopback interface, for Google's own clients.

They follow Google's documentation and observed traffic; that Google's services agree is not shown here.
"""

import contextlib
import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.doubles.certificates import server_context, tensorflow_variables
from tests.doubles.faults import Faults
from tests.doubles.jobs import JobService
from tests.doubles.lifecycle import Runner
from tests.doubles.server import Exchanges, serving
from tests.doubles.storage import StorageService

GCLOUD_JOBS = ("AIPLATFORM", "LOGGING", "CLOUDBUILD")


@dataclass(frozen=True)
class Doubles:
    """Both services while they run."""

    storage: StorageService
    jobs: JobService
    faults: Faults
    storage_url: str
    jobs_url: str
    variables: dict[str, str]
    """Environment variables that lead clients here. gcloud's end with a slash, as gcloud demands."""
    tensorflow_variables: dict[str, str]
    """Those for a process whose TensorFlow reads gs://; empty unless a folder for certificates was given."""


def client_variables(storage_url: str, jobs_url: str) -> dict[str, str]:
    """Return the environment variables that point clients to both services."""
    overrides = {f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{name}": f"{jobs_url}/" for name in GCLOUD_JOBS}
    overrides["CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE"] = f"{storage_url}/"
    here = {"STORAGE_EMULATOR_HOST": storage_url, "BIGQUERY_EMULATOR_HOST": jobs_url}
    return {**here, **overrides}


@contextlib.contextmanager
def google_cloud(
    root: Path,
    runner: Runner | None = None,
    *,
    pace: float = 0.05,
    today: datetime.date | None = None,
    certificates: Path | None = None,
    ports: tuple[int, int] = (0, 0),
) -> Iterator[Doubles]:
    """Serve both services while the context is open; jobs that still run at its end are cancelled.

    `root` holds the objects, `runner` runs the jobs (by default they succeed at once), `pace` is the time in
    seconds that a job is queued, and then pending; `today` decides which images have ended. With a folder
    for `certificates`, the storage double is also a proxy for TensorFlow. Ports of 0 are any free ones.
    """
    faults = Faults()
    storage = StorageService(root)
    jobs = JobService(storage, runner, pace, today)
    tls, certificate = server_context(certificates) if certificates else (None, None)
    with contextlib.ExitStack() as stack:
        stack.callback(jobs.close)
        first = stack.enter_context(serving(Exchanges(storage, faults, tls), ports[0]))
        second = stack.enter_context(serving(Exchanges(jobs, faults), ports[1]))
        proxied = tensorflow_variables(first.url, certificate) if certificate else {}
        variables = client_variables(first.url, second.url)
        yield Doubles(storage, jobs, faults, first.url, second.url, variables, proxied)
