"""A double of model registry and endpoints: rules, operations that take time, versions, traffic and predictions.

Sources: https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.models, -/projects.locations.endpoints and
https://cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements
"""

import itertools
import json
import random
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.doubles.listing import listed
from tests.doubles.model_rules import (
    check_evaluation,
    check_machines,
    check_split,
    instances_of,
    label_problems,
    location_problems,
    model_problems,
)
from tests.doubles.objects import timestamp
from tests.doubles.rules import invalid_argument, name_problems, parsed
from tests.doubles.server import ApiError, Json, Request, Response, Route, json_response
from tests.doubles.storage import StorageService

PARENT = "(projects/[^/]+/locations/([^/]+))"
MODEL = "/v1/(projects/[^/]+/locations/[^/]+/models/[^/:@]+)"
VERSION = "/v1/(projects/[^/]+/locations/[^/]+/models/[^/:@]+@[^/:]+)"
ENDPOINT = "/v1/(projects/[^/]+/locations/[^/]+/endpoints/[^/:]+)"
OPERATION = (
    "/(?:v1|ui)/(projects/[^/]+/locations/[^/]+/(?:models|endpoints)/[^/]+/operations/[^/]+)"
)
MODEL_ID, ENDPOINT_ID = "[a-z_][a-z0-9_-]{0,62}", "[a-z]([a-z0-9-]{0,61}[a-z0-9])?"
LARGEST_BYTES = 10_000_000
"""Of a request to a dedicated endpoint, and of its response."""
CODE_PRECONDITION = 9
NEVER_READY = (
    "Model server never became ready. Please validate that your model file or container"
    " configuration are valid. Model server logs can be found at https://console.cloud.google.com/logs"
)

Container = Callable[[list[Json]], list[Json]]
"""Returns the predictions of instances; raises ValueError with the body of a response of status 400."""
Starter = Callable[[Path, Json], Container]
"""Starts a container, by its containerSpec, with the model in a folder; raises ValueError if it never becomes ready."""


def score_in_file(folder: Path, _: Json) -> Container:
    """Return a container that predicts the number in `saved_model.pb` for every row."""
    score = float((folder / "saved_model.pb").read_text())
    return lambda instances: [{"probability": score} for _ in instances]


class Models:
    """The models and endpoints of all projects. An operation ends `pace` seconds after it has begun."""

    def __init__(
        self, storage: StorageService, pace: float, start: Starter = score_in_file
    ) -> None:
        self.storage, self.pace, self.start = storage, pace, start
        self.unreadable: set[str] = set()
        """Buckets that the service's agent may not read."""
        self.most_cores = 2_200
        self.seconds_apart = 0.0
        """How far apart uploads and deployments have to be; the service demands 2 seconds."""
        self.last_begun = float("-inf")
        self.versions: dict[str, list[Json]] = {}
        """By the model's name, the first version first."""
        self.endpoints: dict[str, Json] = {}
        self.evaluations: dict[str, list[Json]] = {}
        self.containers: dict[tuple[str, str], Container] = {}
        self.operations: dict[str, Json] = {}
        self.copies = Path(tempfile.mkdtemp(prefix="models-"))
        self.ids, self.lock = itertools.count(1), threading.RLock()
        self.chance = random.Random(0)
        self.threads: list[threading.Thread] = []
        self.routes: list[Route] = [
            ("POST", f"/v1/{PARENT}/models:upload", self.upload),
            ("GET", f"{MODEL}:listVersions", self.list_versions),
            ("GET", MODEL, self.get_model),
            ("POST", f"{VERSION}:mergeVersionAliases", self.merge_aliases),
            ("GET", f"{VERSION}/evaluations", self.list_evaluations),
            ("POST", f"{VERSION}/evaluations:import", self.import_evaluation),
            ("POST", f"/v1/{PARENT}/endpoints", self.create_endpoint),
            ("GET", f"/v1/{PARENT}/endpoints", self.list_endpoints),
            ("GET", ENDPOINT, lambda _, name: json_response(self.endpoint(name))),
            ("PATCH", ENDPOINT, self.patch_endpoint),
            ("POST", f"{ENDPOINT}:deployModel", self.deploy),
            ("POST", f"{ENDPOINT}:undeployModel", self.undeploy),
            ("POST", f"{ENDPOINT}:predict", self.predict),
            ("GET", OPERATION, self.get_operation),
        ]

    def operation(self, resource: str, work: Callable[[], Json]) -> Response:
        """Begin an operation that does its work in a thread; its first response is never done."""
        name = f"{resource}/operations/{next(self.ids)}"
        self.operations[name] = {"name": name}

        def run() -> None:
            time.sleep(self.pace)
            with self.lock:
                try:
                    ended: Json = {"response": work()}
                except ApiError as error:
                    code = CODE_PRECONDITION
                    ended = {"error": {"code": code, "message": error.message}}
                self.operations[name] |= {**ended, "done": True}

        response = json_response(dict(self.operations[name]))
        self.threads.append(threading.Thread(target=run, daemon=True))
        self.threads[-1].start()
        return response

    def get_operation(self, _: Request, name: str) -> Response:
        if name not in self.operations:
            raise ApiError(404, f"The Operation {name!r} does not exist.")
        return json_response(dict(self.operations[name]))

    def upload(self, request: Request, parent: str, region: str) -> Response:
        body = parsed(request.json(), "UploadModelRequest")
        model, earlier = body["model"], str(body.get("parentModel", ""))
        if problems := [*model_problems(model, region, self.storage, self.unreadable)]:
            raise invalid_argument(problems)
        if earlier and earlier not in self.versions:
            raise ApiError(404, f"The Model {earlier!r} does not exist.")
        chosen = str(body.get("modelId") or next(self.ids))
        if not re.fullmatch(MODEL_ID, chosen) and not chosen.isdecimal():
            raise ApiError(400, f"Invalid model ID {chosen!r}")
        name = earlier or f"{parent}/models/{chosen}"
        if not earlier and name in self.versions:
            raise ApiError(409, f"The Model {name!r} already exists.")
        self.check_pause()
        # What the bucket holds later must not show.
        copy = self.copies / str(next(self.ids))
        source = self.storage.root / str(model["artifactUri"]).removeprefix("gs://")
        shutil.copytree(source, copy) if source.is_dir() else copy.mkdir()

        def work() -> Json:
            versions = self.versions.setdefault(name, [])
            aliases = list(model.get("versionAliases", [])) + ["default"] * (not versions)
            made = {"name": name, "versionId": str(len(versions) + 1), "versionAliases": aliases}
            now = timestamp(time.time())
            versions.append({**model, **made, "createTime": now, "folder": str(copy)})
            return {"model": name, "modelVersionId": made["versionId"]}

        return self.operation(name, work)

    def check_pause(self) -> None:
        """Raise ApiError if the last upload or deployment has begun just now."""
        begun, self.last_begun = self.last_begun, time.monotonic()
        if self.last_begun - begun < self.seconds_apart:
            raise ApiError(429, "Too many uploads and deployments of models")

    def list_versions(self, request: Request, name: str) -> Response:
        if name not in self.versions:
            raise ApiError(404, f"The Model {name!r} does not exist.")
        found = {
            f"{name}/{each['versionId']}": {**each, "state": ""} for each in self.versions[name]
        }
        return json_response(listed(request, "models", found, name))

    def get_model(self, _: Request, name: str) -> Response:
        if name not in self.versions:
            raise ApiError(404, f"The Model {name!r} does not exist.")
        return json_response(self.versions[name][-1])

    def version(self, name: str) -> Json:
        """Return a version by its number or an alias; raise ApiError if there is none."""
        model, _, wanted = name.partition("@")
        for each in self.versions.get(model, []):
            if (wanted or "default") in (each["versionId"], *each["versionAliases"]):
                return each
        raise ApiError(404, f"The Model {name!r} does not exist.")

    def merge_aliases(self, request: Request, name: str) -> Response:
        version = self.version(name)
        for alias in request.json()["versionAliases"]:
            for each in self.versions[version["name"]]:
                each["versionAliases"] = [one for one in each["versionAliases"] if one != alias]
            version["versionAliases"].append(alias)
        return json_response(version)

    def list_evaluations(self, request: Request, name: str) -> Response:
        return json_response({"modelEvaluations": self.evaluations.get(name, [])})

    def import_evaluation(self, request: Request, name: str) -> Response:
        self.version(name)
        evaluation = request.json()["modelEvaluation"]
        check_evaluation(evaluation)
        self.evaluations.setdefault(name, []).append(evaluation)
        return json_response(evaluation)

    def create_endpoint(self, request: Request, parent: str, region: str) -> Response:
        chosen = request.value("endpointId") or str(next(self.ids))
        body, name = parsed(request.json(), "Endpoint"), f"{parent}/endpoints/{chosen}"
        if not re.fullmatch(ENDPOINT_ID, chosen) and not chosen.isdecimal():
            raise ApiError(400, f"Invalid endpoint ID {chosen!r}")
        catalog = self.storage.catalog
        problems = [*location_problems(region, catalog), *label_problems(body)]
        if problems := [*problems, *name_problems(body, catalog["limits"])]:
            raise invalid_argument(problems)
        with self.lock:
            if name in self.endpoints or f"{name} begun" in self.operations:
                raise ApiError(409, f"The Endpoint {name!r} already exists.")
            self.operations[f"{name} begun"] = {}

        def work() -> Json:
            made = {"name": name, "createTime": timestamp(time.time())}
            dns = {"dedicatedEndpointDns": f"{chosen}.{region}-1.prediction.vertexai.goog"}
            own = dns if body.get("dedicatedEndpointEnabled") else {}
            self.endpoints[name] = {**body, **made, **own, "deployedModels": [], "trafficSplit": {}}
            return {"name": name}

        return self.operation(name, work)

    def endpoint(self, name: str) -> Json:
        if name not in self.endpoints:
            raise ApiError(404, f"The Endpoint {name!r} does not exist.")
        return self.endpoints[name]

    def list_endpoints(self, request: Request, parent: str, region: str) -> Response:
        found = {name: {**each, "state": ""} for name, each in self.endpoints.items()}
        return json_response(listed(request, "endpoints", found, parent))

    def patch_endpoint(self, request: Request, name: str) -> Response:
        endpoint, split = self.endpoint(name), request.json().get("trafficSplit", {})
        if request.value("updateMask") != "trafficSplit":
            raise ApiError(400, f"The double patches no {request.value('updateMask')!r}")
        check_split(split, [each["id"] for each in endpoint["deployedModels"]])
        endpoint["trafficSplit"] = split
        return json_response(endpoint)

    def deploy(self, request: Request, name: str) -> Response:
        endpoint, body = self.endpoint(name), request.json()
        parsed(body, "DeployModelRequest")
        deployed, split = body["deployedModel"], body.get("trafficSplit", {})
        machines = deployed.get("dedicatedResources", {})
        check_machines(machines, name.split("/")[3], self.storage.catalog, self.most_cores)
        version, number = self.version(deployed["model"]), str(deployed.get("id") or next(self.ids))
        if not re.fullmatch("[0-9]{1,10}", number):
            raise ApiError(400, f"Invalid deployed model ID {number!r}")
        with self.lock:
            known = [each["id"] for each in endpoint["deployedModels"]]
            if number in known or f"{name} {number} begun" in self.operations:
                raise ApiError(409, f"The DeployedModel {number!r} already exists.")
            check_split({number if k == "0" else k: v for k, v in split.items()}, [*known, number])
            self.check_pause()
            self.operations[f"{name} {number} begun"] = {}

        def work() -> Json:
            try:
                folder, spec = Path(version["folder"]), version["containerSpec"]
                self.containers[name, number] = self.start(folder, spec)
            except (ValueError, OSError) as error:
                del self.operations[f"{name} {number} begun"]
                raise ApiError(400, f"{NEVER_READY} ({error})") from error
            made = {"id": number, "modelVersionId": version["versionId"], "model": version["name"]}
            made["createTime"] = timestamp(time.time())
            endpoint["deployedModels"].append({**deployed, **made})
            if split:
                endpoint["trafficSplit"] = {number if k == "0" else k: v for k, v in split.items()}
            return {"deployedModel": {**deployed, **made}}

        return self.operation(name, work)

    def undeploy(self, request: Request, name: str) -> Response:
        endpoint, number = self.endpoint(name), str(request.json()["deployedModelId"])
        known = [each["id"] for each in endpoint["deployedModels"]]
        if number not in known:
            raise ApiError(404, f"The following DeployedModel ID(s) [{number}] do not exist.")
        if endpoint["trafficSplit"].get(number) and len(known) > 1:
            raise ApiError(400, f"DeployedModel {number} has traffic; move it first.")

        def work() -> Json:
            models = endpoint["deployedModels"]
            endpoint["deployedModels"] = [each for each in models if each["id"] != number]
            endpoint["trafficSplit"].pop(number, None)
            self.operations.pop(f"{name} {number} begun", None)
            return {}

        return self.operation(name, work)

    def predict(self, request: Request, name: str) -> Response:
        """Predict by the traffic split, with numbers as the transport makes them: doubles."""
        endpoint = self.endpoint(name)
        if len(request.body) > LARGEST_BYTES:
            raise ApiError(413, "Request payload size exceeds the limit")
        instances = instances_of(request.body)
        split = {number: share for number, share in endpoint["trafficSplit"].items() if share}
        if not split:
            raise ApiError(400, f"Endpoint {name} doesn't have traffic_split.")
        [number] = self.chance.choices([*split], [*split.values()])
        try:
            predictions = self.containers[name, number](instances)
        except ValueError as error:
            raise ApiError(400, json.dumps(str(error))) from error
        if len(predictions) != len(instances):
            what = f"{len(predictions)} predictions of {len(instances)} instances"
            raise ApiError(400, f"Invalid response of the model server: {what}")
        [deployed] = [each for each in endpoint["deployedModels"] if each["id"] == number]
        about = {name: deployed[name] for name in ("model", "modelVersionId")}
        response = json_response({"predictions": predictions, "deployedModelId": number, **about})
        if (size := len(response.body)) > LARGEST_BYTES:
            what = f"Response size too large. Received at least {size} bytes"
            raise ApiError(
                400, f"Failed to handle request. endpoint_id: {name} with error: `{what}`"
            )
        return response

    def close(self) -> None:
        for thread in self.threads:
            thread.join()
        shutil.rmtree(self.copies)
