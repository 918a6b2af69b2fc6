"""Tests of the job service's double with Google's SDK."""

import importlib
import json
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.doubles import Doubles, faults, google_cloud
from tests.doubles.clients import (
    PARENT,
    api_error,
    create,
    ended,
    post,
    scripted_runner,
    wait_until,
)
from tests.doubles.examples import (
    ACCEPTED,
    BUCKET,
    MACHINE,
    POOLS,
    REFUSED,
    REGION,
    T4,
    env,
    make_job,
    pool,
)
from tests.doubles.faults import Fault
from tests.doubles.server import Json

pytestmark = pytest.mark.minute


@pytest.mark.parametrize("name", ACCEPTED)
def test_good_jobs_run(name: str, service: Any, cloud: Doubles) -> None:
    made = create(service, make_job(**ACCEPTED[name]))
    assert made.name.rpartition("/")[2].isdecimal() and made.state.name == "JOB_STATE_QUEUED"
    assert ended(cloud, made.name)["state"] == "JOB_STATE_SUCCEEDED"


@pytest.mark.parametrize("name", REFUSED)
def test_jobs_against_a_rule_are_refused(name: str, service: Any, cloud: Doubles) -> None:
    changes, text = REFUSED[name]
    with pytest.raises(api_error("BadRequest")) as caught:
        create(service, make_job(**changes))
    assert text in str(caught.value)
    assert not cloud.jobs.jobs


def test_regions_are_those_that_train(service: Any) -> None:
    with pytest.raises(api_error("BadRequest"), match="'EU' is not found"):
        create(service, make_job(), "projects/penguins/locations/EU")
    with pytest.raises(api_error("BadRequest"), match="not available for training in region"):
        create(service, make_job(**{MACHINE: T4}), "projects/penguins/locations/africa-south1")


def test_malformed_jobs_are_refused_by_field(cloud: Doubles) -> None:
    url = f"{cloud.jobs_url}/v1/{PARENT}/customJobs"
    for changes, text in (
        ({"jobSpec__workers": 3}, "workers"),
        ({"jobSpec__scheduling": {"timeout": "3600"}}, "timeout"),
        ({f"{POOLS}__0__machineSpec__acceleratorType": "T4"}, "acceleratorType"),
    ):
        status, response = post(url, make_job(**changes))
        assert (status, response["error"]["status"]) == (400, "INVALID_ARGUMENT")
        assert text in response["error"]["message"] and response["error"]["details"]


def test_the_sdk_submits_watches_and_deletes(sdk: Any, cloud: Doubles) -> None:
    started = {"image_uri": "i", "env": env(SLEEP="0.2")}
    spec = {"machine_spec": {"machine_type": "n1-standard-4"}, "container_spec": started}
    pools = [{**spec, "replica_count": 1}, {}, {**spec, "replica_count": 2}]
    job = sdk.CustomJob("penguins", worker_pool_specs=pools, labels={"run": "r7"})
    job.submit(timeout=3600)
    wait_until(lambda: job.state.name == "JOB_STATE_RUNNING")
    assert ended(cloud, job.resource_name)["jobSpec"]["scheduling"]["timeout"] == "3600s"
    assert job.state.name == "JOB_STATE_SUCCEEDED"
    read = sdk.CustomJob.get(job.resource_name)
    assert (read.labels, read.error.message, bool(read.end_time)) == ({"run": "r7"}, "", True)
    read.delete()
    with pytest.raises(api_error("NotFound")):
        sdk.CustomJob.get(job.resource_name)


def test_jobs_are_found_by_filters(sdk: Any, service: Any) -> None:
    names = [
        create(service, make_job(displayName=f"n{n}", labels={"run": f"r{n % 2}"})).name
        for n in range(4)
    ]
    for text, required in (
        ('labels.run="r1"', [3, 1]),
        ("labels.run=r0", [2, 0]),
        ('display_name="n2"', [2]),
        ('display_name="n2" AND labels.run="r1"', []),
        ("labels.other:*", []),
    ):
        found = sdk.CustomJob.list(filter=text)
        assert [one.resource_name for one in found] == [names[n] for n in required]
    request = {"parent": PARENT, "page_size": 1}
    assert [one.name for one in service.list_custom_jobs(request=request)] == names[::-1]
    with pytest.raises(api_error("BadRequest"), match="unknown field"):
        sdk.CustomJob.list(filter="colour=red")


def test_a_failed_job_says_why(service: Any, cloud: Doubles) -> None:
    made = create(service, make_job(**{POOLS: [pool(env=env(EXIT="3"))]}))
    assert ended(cloud, made.name)["state"] == "JOB_STATE_FAILED"
    assert "non-zero status of 3" in service.get_custom_job(name=made.name).error.message


def test_a_cancelled_job_stops(service: Any, cloud: Doubles) -> None:
    made = create(service, make_job(**{POOLS: [pool(env=env(SLEEP="60"))]}))
    wait_until(lambda: cloud.jobs.job(made.name).attempts == 1)
    service.cancel_custom_job(name=made.name)
    assert ended(cloud, made.name)["state"] == "JOB_STATE_CANCELLED"
    assert cloud.jobs.job(made.name).lines[-1].text == "stopped"
    service.cancel_custom_job(name=made.name)


def test_logs_are_listed_page_by_page(service: Any, cloud: Doubles) -> None:
    first, second = (create(service, make_job()).name for _ in range(2))
    ended(cloud, first), ended(cloud, second)
    url = f"{cloud.jobs_url}/v2/entries:list"
    identifier = first.rpartition("/")[2]
    body: Json = {"resourceNames": ["projects/penguins"], "orderBy": "timestamp asc", "pageSize": 1}
    body["filter"] = f'resource.type="ml_job" AND resource.labels.job_id="{identifier}"'
    status, page = post(url, body)
    (entry,) = page["entries"]
    assert (status, entry["textPayload"]) == (200, "started with ['--steps', '2']")
    assert entry["resource"]["labels"] == {"job_id": identifier, "task_name": "workerpool0-0"}
    (last,) = post(url, {**body, "pageToken": page["nextPageToken"]})[1]["entries"]
    assert (last["severity"], last["jsonPayload"]["message"]) == ("WARNING", "structured")
    body["filter"] += f' AND timestamp>"{entry["timestamp"]}"'
    assert post(url, body)[1] == {"entries": [last]}
    assert post(url, {**body, "filter": "colour=red"})[0] == 400


def test_a_build_is_accepted(cloud: Doubles) -> None:
    for parent in ("projects/penguins", PARENT):
        url = f"{cloud.variables['CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDBUILD']}/v1/{parent}/builds"
        steps = [{"name": "gcr.io/cloud-builders/docker", "args": ["build", "."]}]
        status, operation = post(url, {"steps": steps, "images": ["i"]})
        build = operation["metadata"]["build"]
        assert (status, operation["done"], build["status"]) == (200, False, "QUEUED")
        with urllib.request.urlopen(f"{url}/{build['id']}") as response:
            assert json.load(response)["status"] == "SUCCESS"
        assert post(url, {"images": ["i"]})[0] == 400


def test_a_lost_answer_leaves_a_job(service: Any, cloud: Doubles) -> None:
    cloud.faults.plan("POST", "/customJobs", faults.RESET_BEFORE)
    cloud.faults.plan("POST", "/customJobs", faults.ANSWER_LOST)
    connection = importlib.import_module("requests").ConnectionError
    for jobs in (0, 1):
        with pytest.raises(connection):
            create(service, make_job())
        assert len(list(service.list_custom_jobs(parent=PARENT))) == jobs


def test_an_answer_is_given_twice(service: Any, cloud: Doubles) -> None:
    made = create(service, make_job())
    cloud.faults.plan("POST", "customJobs", faults.REPLAYED)
    assert create(service, make_job()).name == made.name
    assert create(service, make_job()).name != made.name
    assert len(cloud.jobs.jobs) == 2


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        (faults.OVER_QUOTA, "TooManyRequests"),
        (faults.DENIED, "Forbidden"),
        (faults.UNAVAILABLE, "ServiceUnavailable"),
        (Fault(status=500), "InternalServerError"),
    ],
)
def test_the_sdk_hears_of_faults(fault: Fault, name: str, service: Any, cloud: Doubles) -> None:
    cloud.faults.plan("POST", "customJobs", fault)
    with pytest.raises(api_error(name)):
        create(service, make_job())
    assert [one.status for one in cloud.faults.logged("POST", "customJobs")] == [fault.status]


def test_retry_after_is_told(cloud: Doubles) -> None:
    cloud.faults.plan("POST", "customJobs", Fault(status=429, retry_after="7"))
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{cloud.jobs_url}/v1/{PARENT}/customJobs", b"{}")
    assert caught.value.headers["Retry-After"] == "7"


def test_a_job_without_quota_stays_queued(service: Any, cloud: Doubles) -> None:
    cloud.faults.plan("POST", "customJobs", faults.STAYS_QUEUED)
    made = create(service, make_job())
    time.sleep(0.2)
    assert service.get_custom_job(name=made.name).state.name == "JOB_STATE_QUEUED"
    service.cancel_custom_job(name=made.name)
    assert ended(cloud, made.name)["state"] == "JOB_STATE_CANCELLED"


def test_a_job_without_machines_fails(service: Any, cloud: Doubles) -> None:
    cloud.faults.plan("POST", "customJobs", faults.STOCKOUT)
    made = create(service, make_job())
    assert "STOCKOUT" in ended(cloud, made.name)["error"]["message"]
    assert cloud.jobs.job(made.name).attempts == 0


@pytest.mark.parametrize("retries", [True, False])
def test_a_preempted_job_starts_again(retries: bool, service: Any, cloud: Doubles) -> None:
    cloud.faults.plan("POST", "customJobs", Fault(outcome="preempted", preempt_after=0.1))
    changes = {POOLS: [pool(env=env(SLEEP="0.8"))], "jobSpec__scheduling": {"strategy": "SPOT"}}
    job = make_job(**changes)
    job["jobSpec"]["scheduling"]["disableRetries"] = not retries
    made = create(service, job)
    state = "JOB_STATE_SUCCEEDED" if retries else "JOB_STATE_FAILED"
    assert ended(cloud, made.name)["state"] == state
    assert cloud.jobs.job(made.name).attempts == (2 if retries else 1)


def test_the_sdk_hears_that_its_credentials_expired(service: Any, cloud: Doubles) -> None:
    cloud.faults.plan("POST", "/customJobs", faults.EXPIRED)
    with pytest.raises(importlib.import_module("google.auth.exceptions").GoogleAuthError):
        create(service, make_job())


def test_the_end_of_the_doubles_cancels_jobs(tmp_path: Path) -> None:
    with google_cloud(tmp_path, scripted_runner, pace=0.01) as cloud:
        cloud.storage.create_bucket(BUCKET, REGION)
        job = make_job(**{POOLS: [pool(env=env(SLEEP="60"))]})
        status, made = post(f"{cloud.jobs_url}//v1/{PARENT}/customJobs", job)
        wait_until(lambda: cloud.jobs.job(made["name"]).attempts == 1)
    assert status == 200
    assert cloud.jobs.job(made["name"]).resource["state"] == "JOB_STATE_CANCELLED"
