"""A model version, its endpoint and its deployment as the JSON of the REST interface.

Sources: https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.models and
-/projects.locations.endpoints
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from launcher.spec.job_file import Job

PREDICT_ROUTE, HEALTH_ROUTE = "/predict", "/health"
PORT = 8080
# Source: https://cloud.google.com/vertex-ai/docs/predictions/choose-endpoint-type
DEDICATED_BYTES, DEDICATED_SECONDS = 10_000_000, 600
FINGERPRINT_LABEL, RUN_LABEL = "fingerprint", "run"
DIGITS_OF_DIGEST = 32
NEW = "0"
"""Stands for the model that is being deployed in its traffic split."""
NOT_IN_LABELS = re.compile("[^a-z0-9_-]")

Body = dict[str, Any]
Split = Mapping[str, int]
"""Shares of the requests in percent, by the number of a deployed model."""


@dataclass(frozen=True)
class Release:
    """A model that is to become a version: what it is, and where it lies."""

    run: str
    fingerprint: str
    """Of the model's files and the image."""
    image: str
    artifact_uri: str
    description: str


def model_id(job: Job) -> str:
    return re.sub("[^a-z0-9_-]", "-", f"m-{job.cloud.name}".lower())[:63]


def endpoint_id(job: Job) -> str:
    """Return the endpoint's name, always the same, so that its address stays and creating it twice is impossible."""
    return re.sub("[^a-z0-9-]", "-", f"e-{job.cloud.name}".lower())[:63].rstrip("-")


def deployed_id(release: Release) -> str:
    """Return the number of the deployed model, which follows from its content."""
    return str(10**9 + int(release.fingerprint[:12], 16) % (9 * 10**9))


def upload_body(job: Job, release: Release, parent: str) -> Body:
    """Return the request for a new version of the model `parent`, or for the first one if that is ""."""
    container = {
        "imageUri": release.image,
        "args": [f"--max-bytes={DEDICATED_BYTES}", f"--timeout-seconds={DEDICATED_SECONDS}"],
        "ports": [{"containerPort": PORT}],
        "predictRoute": PREDICT_ROUTE,
        "healthRoute": HEALTH_ROUTE,
    }
    model = {
        "displayName": job.cloud.name,
        "versionDescription": release.description,
        "labels": {
            **job.labels,
            FINGERPRINT_LABEL: release.fingerprint,
            RUN_LABEL: NOT_IN_LABELS.sub("-", release.run.lower())[:63],
        },
        "artifactUri": release.artifact_uri,
        "containerSpec": container,
    }
    which = {"parentModel": parent} if parent else {"modelId": model_id(job)}
    return {**which, "model": model}


def endpoint_body(job: Job) -> Body:
    return {
        "displayName": job.cloud.name,
        "labels": dict(job.labels),
        "dedicatedEndpointEnabled": True,
    }


def deploy_body(job: Job, release: Release, version: str, first: bool) -> Body:
    """Return the deployment of a model version; only the first one on an endpoint gets requests at once."""
    serving = job.serving
    account = {"serviceAccount": job.cloud.service_account} if job.cloud.service_account else {}
    deployed = {
        "id": deployed_id(release),
        "model": version,
        "displayName": release.run,
        "dedicatedResources": {
            "machineSpec": {"machineType": serving.machine},
            "minReplicaCount": serving.min_replicas,
            "maxReplicaCount": serving.max_replicas,
        },
        **account,
    }
    return {"deployedModel": deployed, **({"trafficSplit": {NEW: 100}} if first else {})}


def with_share(split: Split, deployed: str, share: int) -> dict[str, int]:
    """Return a split in which one deployed model has `share` percent; the others share the rest as before."""
    others = {each: part for each, part in split.items() if each != deployed and part > 0}
    if not others:
        return {deployed: 100}
    total, left = sum(others.values()), 100 - share
    scaled = {each: part * left // total for each, part in others.items()}
    scaled[max(scaled, key=lambda each: others[each])] += left - sum(scaled.values())
    return {each: part for each, part in {**scaled, deployed: share}.items() if part}


def batch_body(job: Job, version: str, source: str, output: str, run: str) -> Body:
    """Return a BatchPredictionJob of the rows at a gs:// or bq:// address, which reach the model as objects."""
    serving = job.serving
    if source.startswith("bq://"):
        given = {"instancesFormat": "bigquery", "bigquerySource": {"inputUri": source}}
        place, key = {"bigqueryDestination": {"outputUri": source.partition(".")[0]}}, {}
    else:
        given = {"instancesFormat": "jsonl", "gcsSource": {"uris": [source]}}
        place, key = {"gcsDestination": {"outputUriPrefix": output}}, {"keyField": "key"}
    return {
        "displayName": job.cloud.name,
        "labels": {**job.labels, RUN_LABEL: run},
        "model": version,
        "inputConfig": given,
        "instanceConfig": {"instanceType": "object", **key},
        "outputConfig": {"predictionsFormat": given["instancesFormat"], **place},
        "dedicatedResources": {
            "machineSpec": {"machineType": serving.machine},
            "startingReplicaCount": serving.batch_replicas,
        },
        "manualBatchTuningParameters": {"batchSize": serving.batch_size},
    }


def evaluation_body(release: Release, evaluation: Mapping[str, Any]) -> Body:
    """Return evaluation.json as a ModelEvaluation, without the confusion matrix; what is undefined cannot be sent."""
    kind = "regression" if evaluation["task"] == "regression" else "classification"
    names, metrics = EVALUATION_NAMES[kind], evaluation["metrics"]
    values = {names[name]: each["value"] for name, each in metrics.items() if name in names}
    if rows := confidence_metrics(evaluation):
        values["confidenceMetrics"] = rows
    schema = f"gs://google-cloud-aiplatform/schema/modelevaluation/{kind}_metrics_1.0.0.yaml"
    return {
        "modelEvaluation": {
            "displayName": release.fingerprint,
            "metricsSchemaUri": schema,
            "metrics": defined(values),
            "metadata": {"run": release.run},
        }
    }


def confidence_metrics(evaluation: Mapping[str, Any]) -> list[Body]:
    """Return the rates of a model of two classes at each threshold of the evaluation, the lowest first."""
    thresholds = {each["threshold"]: each for each in evaluation.get("thresholds", {}).values()}
    found = []
    for threshold, each in sorted(thresholds.items()):
        true, false, missed = (each[name] for name in OUTCOMES)
        rest = evaluation["rows"] - true - false - missed
        values = {
            "confidenceThreshold": threshold,
            "precision": each["precision"],
            "recall": each["recall"],
            "f1Score": each["f1"],
            "falsePositiveRate": false / (false + rest) if false + rest else None,
            "truePositiveCount": true,
            "falsePositiveCount": false,
            "falseNegativeCount": missed,
            "trueNegativeCount": rest,
        }
        found.append(defined(values))
    return found


def defined(values: Mapping[str, Any]) -> Body:
    return {name: value for name, value in values.items() if value is not None}


OUTCOMES = ("true_positives", "false_positives", "false_negatives")
EVALUATION_NAMES = {
    "classification": {"auc": "auRoc", "pr_auc": "auPrc", "log_loss": "logLoss"},
    "regression": {
        "rmse": "rootMeanSquaredError",
        "mae": "meanAbsoluteError",
        "r2": "rSquared",
    },
}
