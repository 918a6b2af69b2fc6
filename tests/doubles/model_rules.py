"""The validation of model versions, deployments, predictions and evaluations.

Sources: https://cloud.google.com/vertex-ai/docs/model-registry/model-alias, -/model-labels,
-/predictions/configure-compute, -/predictions/custom-container-requirements and -/evaluation/introduction
"""

import json
import math
import re
from typing import Any

from tests.doubles.rules import Problems, name_problems
from tests.doubles.server import ApiError, Json
from tests.doubles.storage import StorageService

ALIAS = "[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]"
RESERVED_LABELS = ("vertex-ai-", "goog-")
SCHEMA = "gs://google-cloud-aiplatform/schema/modelevaluation/{}_metrics_1.0.0.yaml"
OF_THRESHOLD = {
    *("confidenceThreshold", "precision", "recall", "f1Score", "falsePositiveRate"),
    *("truePositiveCount", "falsePositiveCount", "trueNegativeCount", "falseNegativeCount"),
}
METRICS = {
    SCHEMA.format("classification"): {"auPrc", "auRoc", "logLoss", "confidenceMetrics"},
    SCHEMA.format("regression"): {
        *("rootMeanSquaredError", "meanAbsoluteError", "meanAbsolutePercentageError"),
        *("rSquared", "rootMeanSquaredLogError"),
    },
}


def location_problems(region: str, catalog: Json) -> Problems:
    if region not in (*catalog["regions"], *catalog["regions_of_gcloud"]):
        yield "parent", f"Location {region!r} is not found or access is unauthorized"


def label_problems(resource: Json) -> Problems:
    for key in resource.get("labels", {}):
        if key.startswith(RESERVED_LABELS):
            yield "labels", f"The label {key!r} begins with a reserved prefix"


def model_problems(
    model: Json, region: str, storage: StorageService, unreadable: set[str]
) -> Problems:
    yield from location_problems(region, storage.catalog)
    yield from name_problems(model, storage.catalog["limits"])
    yield from label_problems(model)
    for alias in model.get("versionAliases", ()):
        if not re.fullmatch(ALIAS, alias):
            yield "model.version_aliases", f"Invalid alias {alias!r}"
    yield from container_problems(model.get("containerSpec", {}), region)
    uri = str(model.get("artifactUri", ""))
    name = uri.removeprefix("gs://").partition("/")[0]
    bucket = storage.buckets.get(name)
    if not uri.startswith("gs://") or bucket is None:
        yield "model.artifact_uri", f"{uri!r} is no folder of a bucket"
    elif bucket["location"].lower() != region:
        place = bucket["location"].lower()
        yield (
            "model.artifact_uri",
            f"The Cloud Storage bucket of `{uri}` is in location `{place}`. It must be in the same"
            f" regional location as the service location `{region}`.",
        )
    elif name in unreadable:
        yield (
            "model.artifact_uri",
            "Service account `service-1@gcp-sa-aiplatform.iam.gserviceaccount.com` does not have"
            f" `[storage.objects.get]` IAM permission(s) to the directory `{uri}`.",
        )


def container_problems(container: Json, region: str) -> Problems:
    image = str(container.get("imageUri", ""))
    if not image.startswith(f"{region}-docker.pkg.dev/"):
        yield "model.container_spec.image_uri", f"Image {image!r} is in no repository of {region}"
    if any(str(each.get("name", "")).startswith("AIP_") for each in container.get("env", [])):
        yield "model.container_spec.env", "Names that begin with AIP_ are reserved"
    for name in ("predictRoute", "healthRoute"):
        if not str(container.get(name, "")).startswith("/"):
            yield "model.container_spec", f"{name} must begin with a slash"


def check_machines(machines: Json, region: str, catalog: Json, most_cores: int) -> None:
    """Raise ApiError for machines that do not serve, or that are more than the quota allows."""
    fewest = int(machines.get("minReplicaCount", 0))
    most = int(machines.get("maxReplicaCount", fewest))
    if fewest < 1 or most < fewest:
        raise ApiError(400, "minReplicaCount must be at least 1, and at most maxReplicaCount")
    machine, facts = machines.get("machineSpec", {}).get("machineType", ""), catalog["serving"]
    without = region in facts["regions_without_n1"] and machine.startswith("n1-")
    if not re.fullmatch(facts["machines"], machine) or without:
        raise ApiError(
            400, f"Machine type {machine!r} is not supported for predictions in {region}"
        )
    if most * int(re.findall("[0-9]+", machine)[-1]) > most_cores:
        metric = "custom_model_serving_cpus"
        raise ApiError(429, f"The following quota metrics exceed quota limits: {metric}")


def check_split(split: Json, known: list[str]) -> None:
    if unknown := [number for number in split if number not in known]:
        raise ApiError(400, f"The following DeployedModel ID(s) {unknown} do not exist.")
    if split and sum(split.values()) != 100:
        raise ApiError(400, "The traffic split does not add up to 100.")


def instances_of(body: bytes) -> list[Json]:
    """Return the instances as the transport's Value makes them: every number a double, and none NaN or infinite."""

    def no_number(name: str) -> Any:
        raise ApiError(400, f"Invalid JSON payload received. Unexpected token {name}")

    found: list[Json] = json.loads(body, parse_int=float, parse_constant=no_number)["instances"]
    return found


def check_evaluation(evaluation: Json) -> None:
    """Raise ApiError for metrics that the schema does not have, or that are no finite numbers."""
    schema, metrics = evaluation.get("metricsSchemaUri", ""), dict(evaluation.get("metrics", {}))
    if schema not in METRICS:
        raise ApiError(400, f"Unknown metrics schema {schema!r}")
    rows = metrics.pop("confidenceMetrics", [])
    parts = [(metrics, METRICS[schema]), *((row, OF_THRESHOLD) for row in rows)]
    if not all(are_metrics(part, names) for part, names in parts):
        raise ApiError(400, "Invalid Metrics Format")


def are_metrics(values: Json, names: set[str]) -> bool:
    numbers = [each for each in values.values() if isinstance(each, (int, float))]
    return (
        values.keys() <= names and len(numbers) == len(values) and all(map(math.isfinite, numbers))
    )
