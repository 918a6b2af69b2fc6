"""Fixtures: both doubles, and Google's own clients connected to them."""

import datetime
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.doubles import Doubles, google_cloud
from tests.doubles.clients import anonymous, scripted_runner
from tests.doubles.examples import BUCKET, REGION

TODAY = datetime.date(2026, 11, 24)


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Doubles]:
    """Both doubles with a few buckets, and the variables that point clients to them."""
    with google_cloud(tmp_path / "root", scripted_runner, pace=0.01, today=TODAY) as doubles:
        images = doubles.storage.catalog["executor_images"]
        images["tf-cpu.2-99.py399"] = {"ended": TODAY.isoformat()}
        for name, location in ((BUCKET, REGION), ("far-away", "asia-east1")):
            doubles.storage.create_bucket(name, location)
        doubles.storage.create_bucket("everywhere", "EU")
        doubles.storage.create_bucket("two-places", "NAM4")
        for name, value in doubles.variables.items():
            monkeypatch.setenv(name, value)
        yield doubles


@pytest.fixture
def client(cloud: Doubles) -> Any:
    """The storage client; it takes its address from the environment."""
    return importlib.import_module("google.cloud.storage").Client(project="penguins")


@pytest.fixture
def bucket(client: Any) -> Any:
    return client.bucket(BUCKET)


@pytest.fixture
def retry() -> Any:
    """The storage client's own retry, with shorter delays."""
    return importlib.import_module("google.cloud.storage.retry").DEFAULT_RETRY.with_delay(0.01, 0.1)


@pytest.fixture
def sdk(cloud: Doubles) -> Any:
    """The high-level SDK, connected to the doubles."""
    aiplatform = importlib.import_module("google.cloud.aiplatform")
    aiplatform.init(
        project="penguins",
        location=REGION,
        staging_bucket=f"gs://{BUCKET}",
        credentials=anonymous(),
        api_endpoint=cloud.jobs_url,
        api_transport="rest",
    )
    return aiplatform


@pytest.fixture
def service(cloud: Doubles) -> Any:
    v1 = importlib.import_module("google.cloud.aiplatform_v1")
    options = {"api_endpoint": cloud.jobs_url}
    return v1.JobServiceClient(transport="rest", credentials=anonymous(), client_options=options)
