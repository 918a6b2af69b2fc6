"""Model versions and the endpoint: each request looks first, so that repeating a command creates nothing twice.

An upload cannot be given a number of its own, so a version is found by the label of its fingerprint.
Sources: https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.models/upload and
-/projects.locations.endpoints/deployModel
"""

import contextlib
import copy
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from launcher.console import UserError
from launcher.executors.vertex.services import (
    JOBS,
    AlreadyExists,
    NotFound,
    RequestRefused,
    Rest,
    explained,
    one_line,
)
from launcher.spec.serving import FINGERPRINT_LABEL, Body, Split

CODE_BUSY = 429
BUSY_TRIES, BUSY_SECONDS = 3, 2.0
"""Uploads and deployments must be 2 s apart. Source: https://cloud.google.com/vertex-ai/docs/model-registry/import-model"""
FEW_LOOKUPS, MANY_LOOKUPS = 20, 500
NOT_REGISTERED = "the model is not registered"
LONGEST_SECONDS = 3600.0
"""Loading a model may take 40 minutes. Source: the limits of
https://cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements"""

Resource = Mapping[str, Any]


@dataclass(frozen=True)
class Deployed:
    """A model version on an endpoint."""

    id: str
    version: str
    """projects/P/locations/R/models/M@V."""
    run: str
    created: str
    machine: str
    replicas: str
    """The smallest and the largest number."""
    traffic: int


class OperationFailed(UserError):
    """An operation has ended without a result."""


class ModelService:
    """The models and endpoints of one project in one region."""

    def __init__(self, project: str, region: str, poll_seconds: float) -> None:
        """Raises `UserError` without the client library or credentials."""
        self.parent = f"projects/{project}/locations/{region}"
        self.poll_seconds = poll_seconds
        self.rest = Rest(JOBS, project, region)

    def find_version(self, model: str, fingerprint: str) -> str | None:
        """Return the version projects/…/models/M@V with a fingerprint, None if there is none."""
        path = f"v1/{self.parent}/models/{model}:listVersions"
        query = {"filter": f'labels.{FINGERPRINT_LABEL}="{fingerprint}"'}
        with contextlib.suppress(NotFound), explained("the model's versions"):
            for each in self.rest.items("models", "GET", path, query):
                return f"{each['name']}@{each['versionId']}"
        return None

    def model(self, model: str) -> Resource | None:
        return self.found(f"v1/{self.parent}/models/{model}")

    def endpoint(self, endpoint: str) -> Resource | None:
        return self.found(f"v1/{self.parent}/endpoints/{endpoint}")

    def endpoints(self) -> list[Resource]:
        with explained("the list of endpoints"):
            return [*self.rest.items("endpoints", "GET", f"v1/{self.parent}/endpoints", {})]

    def found(self, path: str) -> Resource | None:
        with contextlib.suppress(NotFound), explained(path.rpartition("/")[2]):
            return self.rest.call("GET", path)
        return None

    def begin_upload(self, body: Body) -> str:
        """Begin to create a model version; return the operation's name."""
        return str(self.started(NOT_REGISTERED, f"v1/{self.parent}/models:upload", body)["name"])

    def end_upload(self, operation: str) -> str:
        """Wait for an upload; return the name of its version."""
        response = self.wait({"name": operation}, NOT_REGISTERED)
        return f"{response['model']}@{response['modelVersionId']}"

    def create_endpoint(self, endpoint: str, body: Body) -> None:
        """Create an endpoint, unless another command has begun to."""
        path, query = f"v1/{self.parent}/endpoints", {"endpointId": endpoint}
        self.begun("the endpoint is not created", path, body, params=query)
        self.require(lambda: self.endpoint(endpoint), f"the endpoint {endpoint}")

    def deploy(self, endpoint: str, body: Body) -> None:
        """Deploy a model version, unless another command has begun to."""
        path = f"v1/{self.parent}/endpoints/{endpoint}:deployModel"
        self.begun("the model is not deployed", path, body)
        wanted = body["deployedModel"]["id"]
        self.require(
            lambda: wanted in deployments(self.endpoint(endpoint) or {}), f"the model {wanted}"
        )

    def begun(self, doing: str, path: str, body: Body, **content: Any) -> None:
        """Start an operation and wait for its end; if what it makes exists already, an earlier one makes it."""
        with contextlib.suppress(AlreadyExists):
            self.wait(self.started(doing, path, body, **content), doing)

    def started(
        self, doing: str, path: str, body: Body, tries: int = BUSY_TRIES, **content: Any
    ) -> Resource:
        """Return the operation of a request, which is sent again if the last one was sent just now."""
        try:
            with explained(doing, retryable=(408,)):
                return self.rest.call("POST", path, json=body, **content)
        except RequestRefused as refusal:
            if refusal.code != CODE_BUSY or tries == 1:
                raise
        time.sleep(BUSY_SECONDS)
        return self.started(doing, path, body, tries - 1, **content)

    def appearing(self, look: Callable[[], Any], lookups: int = FEW_LOOKUPS) -> Any:
        """Return what an operation that is under way makes as soon as it is there, None if it does not appear."""
        for _ in range(lookups):
            if found := look():
                return found
            time.sleep(self.poll_seconds)
        return None

    def require(self, look: Callable[[], Any], what: str) -> None:
        if not self.appearing(look, MANY_LOOKUPS):
            fix = "run the command again"
            raise UserError(f"{what} does not appear", "the one that was created", fix)

    def wait(self, operation: Resource, doing: str) -> Resource:
        """Return the response of an operation when it has ended; raise `UserError` if it failed."""
        deadline = time.monotonic() + LONGEST_SECONDS
        while not operation.get("done"):
            if time.monotonic() > deadline:
                what = f"{doing}: {operation['name']} has not ended"
                raise UserError(what, f"an end within {LONGEST_SECONDS:.0f} s", "run it again")
            with explained(doing):
                operation = self.rest.call("GET", f"v1/{operation['name']}")
            time.sleep(0 if operation.get("done") else self.poll_seconds)
        if error := operation.get("error"):
            fix = "read the container's log in Cloud Logging, correct the cause, run it again"
            what = f"{doing}: {one_line(str(error.get('message')))}"
            raise OperationFailed(what, "a model that becomes ready", fix)
        return dict(operation.get("response", {}))

    def set_split(self, endpoint: str, split: Split) -> None:
        path, mask = f"v1/{self.parent}/endpoints/{endpoint}", {"updateMask": "trafficSplit"}
        with explained("the traffic split is not changed"):
            self.rest.call("PATCH", path, json={"trafficSplit": dict(split)}, params=mask)

    def undeploy(self, endpoint: str, deployed: str) -> None:
        path = f"v1/{self.parent}/endpoints/{endpoint}:undeployModel"
        with explained("the model is not undeployed"):
            operation = self.rest.call("POST", path, json={"deployedModelId": deployed})
        self.wait(operation, "the model is not undeployed")

    def make_default(self, version: str) -> None:
        with explained("the alias default is not moved"):
            body = {"versionAliases": ["default"]}
            self.rest.call("POST", f"v1/{version}:mergeVersionAliases", json=body)

    def import_evaluation(self, version: str, body: Body) -> bool:
        """Attach an evaluation unless one with its name is there; return whether it was attached."""
        path, name = f"v1/{version}/evaluations", body["modelEvaluation"]["displayName"]
        with explained("the evaluation is not attached"):
            known = self.rest.items("modelEvaluations", "GET", path, {})
            if any(each.get("displayName") == name for each in known):
                return False
            self.rest.call("POST", f"{path}:import", json=body)
        return True

    def predict(self, endpoint: Resource, instances: list[Any]) -> Resource:
        """Return the response of an endpoint; a dedicated one has an address of its own."""
        own, rest = endpoint.get("dedicatedEndpointDns"), copy.copy(self.rest)
        if own and not os.environ.get(JOBS["override"]):
            rest.endpoint = f"https://{own}"
        with explained("the endpoint's prediction"):
            body = {"instances": instances}
            return rest.call("POST", f"v1/{endpoint['name']}:predict", json=body)


def deployments(endpoint: Resource) -> dict[str, Deployed]:
    """Return the deployed models of an endpoint by their numbers, the oldest first."""
    split = endpoint.get("trafficSplit", {})
    oldest_first = sorted(deployed_models(endpoint, split), key=lambda each: each.created)
    return {each.id: each for each in oldest_first}


def deployed_models(endpoint: Resource, split: Split) -> Iterator[Deployed]:
    for each in endpoint.get("deployedModels", ()):
        machines = each.get("dedicatedResources", {})
        fewest, most = machines.get("minReplicaCount", 1), machines.get("maxReplicaCount", 1)
        yield Deployed(
            id=str(each["id"]),
            version=f"{str(each['model']).partition('@')[0]}@{each.get('modelVersionId', '')}",
            run=str(each.get("displayName", "")),
            created=str(each.get("createTime", "")),
            machine=str(machines.get("machineSpec", {}).get("machineType", "")),
            replicas=f"{fewest} to {most}",
            traffic=int(split.get(str(each["id"]), 0)),
        )
