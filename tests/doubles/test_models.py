"""The rules of the double of models, endpoints and batch jobs, each broken once."""

import copy
import math
from pathlib import Path
from typing import Any

import pytest

from tests.doubles import Doubles
from tests.doubles.clients import PARENT, post, wait_until
from tests.doubles.examples import BUCKET, REGION
from tests.doubles.server import Json

pytestmark = pytest.mark.minute

URI = f"gs://{BUCKET}/model"
CONTAINER = {
    "imageUri": f"{REGION}-docker.pkg.dev/p/r/i",
    "predictRoute": "/predict",
    "healthRoute": "/health",
}
MODEL = {"displayName": "m", "artifactUri": URI, "containerSpec": CONTAINER}
MACHINES = {"machineSpec": {"machineType": "e2-standard-4"}, "minReplicaCount": 1}
BATCH = {
    "displayName": "b",
    "model": f"{PARENT}/models/m@1",
    "inputConfig": {"instancesFormat": "jsonl", "gcsSource": {"uris": [f"{URI}/rows.jsonl"]}},
    "instanceConfig": {"instanceType": "object", "keyField": "key"},
    "outputConfig": {
        "predictionsFormat": "jsonl",
        "gcsDestination": {"outputUriPrefix": f"gs://{BUCKET}/out"},
    },
    "dedicatedResources": {"machineSpec": MACHINES["machineSpec"], "startingReplicaCount": 1},
    "manualBatchTuningParameters": {"batchSize": 2},
}
CLASSIFICATION = (
    "gs://google-cloud-aiplatform/schema/modelevaluation/classification_metrics_1.0.0.yaml"
)


@pytest.fixture
def root(cloud: Doubles) -> Path:
    """The folder of a bucket with a model that predicts 0.25, and rows."""
    folder = cloud.jobs.models.storage.root / BUCKET
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "saved_model.pb").write_text("0.25")
    (folder / "model" / "rows.jsonl").write_text('{"key": 0, "age": 39}\n')
    return folder


def changed(resource: Json, path: str, value: Any) -> Json:
    """Return a resource with another value at a path such as "model.labels"."""
    found = part = copy.deepcopy(resource)
    *parents, name = path.split(".")
    for each in parents:
        part = part[each]
    part[name] = value
    return found


def asked(cloud: Doubles, path: str, body: Json) -> tuple[int, str]:
    """Return the status of a request, and its error."""
    status, response = post(f"{cloud.jobs_url}/v1/{path}", body)
    return status, response.get("error", {}).get("message", "")


def registered(cloud: Doubles, **more: Any) -> None:
    models, body = cloud.jobs.models, {"modelId": "m", "model": MODEL, **more}
    before = len(models.versions.get(f"{PARENT}/models/m", ()))
    assert asked(cloud, f"{PARENT}/models:upload", body)[0] == 200
    wait_until(lambda: len(models.versions.get(f"{PARENT}/models/m", ())) > before)


@pytest.fixture
def deployed(cloud: Doubles, root: Path) -> Doubles:
    """A cloud that serves a model at the endpoint `e`."""
    registered(cloud)
    body = {"displayName": "e", "dedicatedEndpointEnabled": True}
    assert asked(cloud, f"{PARENT}/endpoints?endpointId=e", body)[0] == 200
    wait_until(lambda: f"{PARENT}/endpoints/e" in cloud.jobs.models.endpoints)
    assert deploy(cloud, {}) == (200, "")
    endpoint = cloud.jobs.models.endpoints[f"{PARENT}/endpoints/e"]
    wait_until(lambda: bool(endpoint["deployedModels"]))
    return cloud


def deploy(cloud: Doubles, machines: Json) -> tuple[int, str]:
    asked_for = {"model": f"{PARENT}/models/m", "dedicatedResources": {**MACHINES, **machines}}
    body = {"deployedModel": asked_for, "trafficSplit": {"0": 100}}
    return asked(cloud, f"{PARENT}/endpoints/e:deployModel", body)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("displayName", "", "display name"),
        ("labels", {"goog-x": "1"}, "reserved prefix"),
        ("versionAliases", ["A"], "Invalid alias"),
        ("artifactUri", "/here", "no folder of a bucket"),
        ("artifactUri", "gs://everywhere/model", "is in location `eu`"),
        ("containerSpec.imageUri", "us-docker.pkg.dev/p/r/i", "in no repository of"),
        ("containerSpec.env", [{"name": "AIP_X", "value": ""}], "are reserved"),
        ("containerSpec.healthRoute", "health", "must begin with a slash"),
    ],
)
def test_an_upload_against_a_rule_is_refused(
    path: str, value: Any, message: str, cloud: Doubles, root: Path
) -> None:
    body = {"modelId": "m", "model": changed(MODEL, path, value)}
    status, said = asked(cloud, f"{PARENT}/models:upload", body)
    assert status == 400 and message in said and not cloud.jobs.models.versions


def test_the_agent_has_to_read_the_bucket(cloud: Doubles, root: Path) -> None:
    cloud.jobs.models.unreadable.add(BUCKET)
    status, said = asked(cloud, f"{PARENT}/models:upload", {"modelId": "m", "model": MODEL})
    assert status == 400 and "`[storage.objects.get]`" in said


def test_an_unknown_location_has_no_models_and_no_jobs(cloud: Doubles, root: Path) -> None:
    nowhere = "projects/penguins/locations/eu"
    for path, body in (
        ("models:upload", {"model": MODEL}),
        ("endpoints?endpointId=e", {"displayName": "e"}),
        ("batchPredictionJobs", BATCH),
    ):
        status, said = asked(cloud, f"{nowhere}/{path}", body)
        assert status == 400 and "Location 'eu' is not found" in said


def test_two_uploads_at_once_are_too_many(cloud: Doubles, root: Path) -> None:
    cloud.jobs.models.seconds_apart = 60.0
    registered(cloud)
    body = {"parentModel": f"{PARENT}/models/m", "model": MODEL}
    assert asked(cloud, f"{PARENT}/models:upload", body)[0] == 429


def test_a_version_keeps_its_files_and_none_means_the_default(cloud: Doubles, root: Path) -> None:
    registered(cloud)
    (root / "model" / "saved_model.pb").write_text("0.5")
    registered(cloud, parentModel=f"{PARENT}/models/m")
    first = cloud.jobs.models.version(f"{PARENT}/models/m")
    assert first["versionId"] == "1" and first["versionAliases"] == ["default"]
    assert (Path(first["folder"]) / "saved_model.pb").read_text() == "0.25"


@pytest.mark.parametrize(
    ("machines", "code", "message"),
    [
        ({"minReplicaCount": 0}, 400, "at least 1"),
        ({"minReplicaCount": 2, "maxReplicaCount": 1}, 400, "at least 1"),
        ({"machineSpec": {"machineType": "n4-standard-4"}}, 400, "not supported for predictions"),
        ({"machineSpec": {"machineType": "n1-standard-1"}}, 400, "not supported for predictions"),
        ({"maxReplicaCount": 1_000}, 429, "custom_model_serving_cpus"),
    ],
)
def test_a_deployment_against_a_rule_is_refused(
    machines: Json, code: int, message: str, deployed: Doubles
) -> None:
    status, said = deploy(deployed, machines)
    assert status == code and message in said


def test_predictions_follow_the_rules_of_the_transport(deployed: Doubles) -> None:
    models, seen = deployed.jobs.models, list[Json]()

    def few(instances: list[Json]) -> list[Json]:
        seen.extend(instances)
        return []

    def large(_: list[Json]) -> list[Json]:
        return [{"text": "x" * 10_000_000}]

    path, body = f"{PARENT}/endpoints/e:predict", {"instances": [{"age": 39}]}
    status, response = post(f"{deployed.jobs_url}/v1/{path}", body)
    assert status == 200 and response["model"] == f"{PARENT}/models/m"
    assert response["modelVersionId"] == "1"
    [key] = models.containers
    models.containers[key] = few
    assert "0 predictions of 1 instances" in asked(deployed, path, body)[1]
    assert type(seen[0]["age"]) is float
    models.containers[key] = large
    assert "Response size too large" in asked(deployed, path, body)[1]
    assert "Unexpected token NaN" in asked(deployed, path, {"instances": [{"age": math.nan}]})[1]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("labels", {"vertex-ai-x": "1"}, "reserved prefix"),
        ("model", "projects/penguins/locations/asia-east1/models/m@1", "of the location"),
        ("inputConfig.instancesFormat", "parquet", "Unknown format"),
        ("inputConfig.instancesFormat", "csv", "not for csv"),
        ("inputConfig.instancesFormat", "bigquery", "exactly bigquerySource"),
        ("inputConfig.gcsSource.uris", ["gs://far-away/rows.jsonl"], "is not in"),
        ("outputConfig.gcsDestination.outputUriPrefix", "gs://far-away/out", "is not in"),
        ("dedicatedResources.startingReplicaCount", 0, "starting_replica_count"),
        ("manualBatchTuningParameters.batchSize", -1, "batch_size"),
    ],
)
def test_a_batch_job_against_a_rule_is_refused(
    path: str, value: Any, message: str, cloud: Doubles, root: Path
) -> None:
    registered(cloud)
    jobs = f"{PARENT}/batchPredictionJobs"
    status, said = asked(cloud, jobs, changed(BATCH, path, value))
    assert status == 400 and message in said and not cloud.jobs.batches.jobs
    assert asked(cloud, jobs, BATCH) == (200, "")


@pytest.mark.parametrize(
    ("schema", "metrics", "message"),
    [
        ("gs://elsewhere", {}, "Unknown metrics schema"),
        (CLASSIFICATION, {"auRoc": math.nan}, "Invalid"),
        (CLASSIFICATION, {"rSquared": 0.5}, "Invalid Metrics Format"),
        (CLASSIFICATION, {"confusionMatrix": {"rows": [[1, 2]]}}, "Invalid Metrics Format"),
        (CLASSIFICATION, {"confidenceMetrics": [{"recall": None}]}, "Invalid Metrics Format"),
    ],
)
def test_an_evaluation_against_the_schema_is_refused(
    schema: str, metrics: Json, message: str, cloud: Doubles, root: Path
) -> None:
    registered(cloud)
    path, name = f"{PARENT}/models/m@1/evaluations:import", "metricsSchemaUri"
    body = {"modelEvaluation": {name: schema, "metrics": metrics}}
    status, said = asked(cloud, path, body)
    assert status == 400 and message in said
    body = {"modelEvaluation": {name: CLASSIFICATION, "metrics": {"auRoc": 0.5}}}
    assert asked(cloud, path, body) == (200, "")
