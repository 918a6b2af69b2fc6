"""`nox -s deploy`: register a model, serve it at an endpoint to a share of the requests, then to all, and back."""

import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.checks.serving import serving_findings
from launcher.commands.image import serving_image
from launcher.commands.predict import model_of
from launcher.commands.session import Session
from launcher.console import Refused, UserError
from launcher.contract import EVALUATION, EXAMPLES, EXIT_FAILED, PREDICT_MODULE
from launcher.executors.vertex.models import Deployed, ModelService, deployments
from launcher.executors.vertex.storage import storage_client, upload_folder
from launcher.files import read_json, write_atomically
from launcher.packaging.sdist import digest
from launcher.spec import serving
from launcher.spec.catalog import google_cloud
from launcher.spec.custom_job import folder_uri
from launcher.spec.job_file import Job
from launcher.spec.serving import Release

TOLERANCE = 1e-4
MAX_REQUESTS = 200
"""How many requests may go to other models until the new one gets one."""
HEADINGS = ("ID", "VERSION", "RUN", "TRAFFIC", "MACHINE", "REPLICAS", "SINCE (UTC)")
SHOWN_OF_TIME = len("2026-01-01T00:00:00")


def deploy(session: Session) -> int:
    options = session.options
    if findings := serving_findings(session.job, options.traffic):
        raise Refused(findings)
    for name, action in ACTIONS.items():
        if getattr(options, name):
            session.refuse_beside(name, [each for each in ACTIONS if each != name], "one of them")
            session.require_ready()
            return action(Deployment.of(session))
    release, model = release_of(session)
    if options.dry_run:
        print(json.dumps(bodies(session.job, release), indent=2))
        return 0
    session.require_ready()
    deployment = Deployment.of(session)
    version = deployment.registered(release, model)
    if options.register_only:
        print(version)
        return 0
    return deployment.serve(release, version, model)


def release_of(session: Session) -> tuple[Release, Path]:
    """Return the model that --run or --model names, else the newest, and its folder."""
    model, job = model_of(session), session.job
    files = {
        path.relative_to(model).as_posix(): path.read_bytes()
        for path in model.rglob("*")
        if path.is_file()
    }
    image = job.serving.image or serving_image(session.project, job, session.package)
    fingerprint = digest({**files, "": image.encode()})[: serving.DIGITS_OF_DIGEST]
    run = model.parent.name
    uri = f"{folder_uri(job)}/models/{fingerprint[:16]}"
    return Release(run, fingerprint, image, uri, f"run {run}"), model


def bodies(job: Job, release: Release) -> dict[str, Any]:
    """Return every request of a first deployment."""
    parent = f"projects/{job.cloud.project}/locations/{job.cloud.region}"
    version = f"{parent}/models/{serving.model_id(job)}@1"
    return {
        "models:upload": serving.upload_body(job, release, ""),
        f"endpoints?endpointId={serving.endpoint_id(job)}": serving.endpoint_body(job),
        "deployModel": serving.deploy_body(job, release, version, first=True),
    }


@dataclass(frozen=True)
class Deployment:
    """The endpoint of a project, and what is done with it."""

    session: Session
    service: ModelService
    name: str

    @classmethod
    def of(cls, session: Session) -> "Deployment":
        cloud = session.job.cloud
        service = ModelService(cloud.project, cloud.region, session.options.poll_seconds)
        return cls(session, service, serving.endpoint_id(session.job))

    def step(self, label: str, text: str) -> None:
        self.session.console.step(label, text)

    def registered(self, release: Release, model: Path) -> str:
        """Return the version of the model, which is created if no version has its fingerprint."""
        job, service = self.session.job, self.service
        name = serving.model_id(job)
        version = service.find_version(name, release.fingerprint) or self.continued(name, release)
        if not version:
            client = storage_client(job.cloud.project)
            upload_folder(client, model, release.artifact_uri, self.session.console)
            parent = (service.model(name) or {}).get("name", "")
            marker = self.marker(release)
            write_atomically(marker, "{}")
            operation = service.begin_upload(serving.upload_body(job, release, parent))
            write_atomically(marker, json.dumps({"operation": operation}))
            try:
                version = service.end_upload(operation)
            finally:
                marker.unlink()
        self.step("model", f"{version.rpartition('/')[2]}, run {release.run}")
        self.attach_evaluation(release, version, model)
        return version

    def marker(self, release: Release) -> Path:
        """Return the file that says that a version may be in the making, and by which operation."""
        return self.session.project.submissions / "uploads" / f"{release.fingerprint}.json"

    def continued(self, name: str, release: Release) -> str | None:
        """Return the version that a command which was killed has begun to create, None if none appears."""
        marker, service = self.marker(release), self.service
        if not marker.is_file():
            return None
        if operation := read_json(marker).get("operation"):
            marker.unlink()
            return service.end_upload(operation)
        found = service.appearing(lambda: service.find_version(name, release.fingerprint))
        return str(found) if found else None

    def attach_evaluation(self, release: Release, version: str, model: Path) -> None:
        found = read_json(model.parent / EVALUATION)
        if found:
            body = serving.evaluation_body(release, found["task"], found["metrics"])
            if self.service.import_evaluation(version, body):
                self.step("metrics", "attached from nox -s evaluate")

    def serve(self, release: Release, version: str, model: Path) -> int:
        """Deploy a version, give it its first share of the requests, and take that back if it predicts otherwise."""
        job, service, known = self.session.job, self.service, predictions_of(self.session, model)
        if not service.endpoint(self.name):
            service.create_endpoint(self.name, serving.endpoint_body(job))
        before = deployments(service.endpoint(self.name) or {})
        new = serving.deployed_id(release)
        if new not in before:
            first = not any(each.traffic for each in before.values())
            self.step("deploy", f"{job.serving.machine}, some minutes")
            service.deploy(self.name, serving.deploy_body(job, release, version, first))
        now = self.deployed()
        split = {each.id: each.traffic for each in now.values() if each.traffic}
        share = self.session.options.traffic or job.serving.traffic
        if new not in split:
            service.set_split(self.name, serving.with_share(split, new, share))
        if problem := self.difference(new, known):
            service.set_split(self.name, split)
            return self.refused(problem, "" if new in split else "its requests are given back, ")
        self.step("test", f"{len(known)} known rows are predicted as here")
        return show(self)

    def refused(self, problem: str, result: str) -> int:
        fix = f"{result}it still bills: nox -s deploy -- --undeploy"
        what = f"the new model {problem}"
        self.session.console.error(f"{what}; expected the predictions of this machine; {fix}")
        return EXIT_FAILED

    def difference(self, new: str, known: Sequence[tuple[Any, Mapping[str, Any]]]) -> str:
        """Return how the predictions of a deployed model differ from the known ones, "" if they do not."""
        endpoint = self.service.endpoint(self.name) or {}
        instances = [instance for instance, _ in known]
        for _ in range(MAX_REQUESTS):
            try:
                response = self.service.predict(endpoint, instances)
            except UserError as error:
                return f"refuses known rows ({str(error).partition('; expected')[0]})"
            if str(response.get("deployedModelId")) == new:
                return first_difference(known, response.get("predictions", []))
        return f"got none of {MAX_REQUESTS} requests"

    def deployed(self) -> dict[str, Deployed]:
        endpoint = self.service.endpoint(self.name)
        found = deployments(endpoint or {})
        if not found:
            what = f"the endpoint {self.name} has no model" if endpoint else "there is no endpoint"
            raise UserError(what, "a deployed model", "nox -s deploy")
        return found

    def moved(self, deployed: Deployed) -> int:
        """Give all requests to one deployed model, whose version becomes the default one."""
        self.service.set_split(self.name, {deployed.id: 100})
        self.service.make_default(deployed.version)
        return show(self)


def promote(deployment: Deployment) -> int:
    """Give all requests to the newest deployed model."""
    return deployment.moved([*deployment.deployed().values()][-1])


def rollback(deployment: Deployment) -> int:
    """Give all requests to the deployed model before the newest."""
    found = [*deployment.deployed().values()]
    if len(found) < 2:
        what = "there is one deployed model"
        raise UserError(what, "an earlier one, still deployed", "nox -s deploy -- --run N")
    return deployment.moved(found[-2])


def undeploy(deployment: Deployment) -> int:
    """Undeploy the model that is named, or all; one that gets requests only as the last one."""
    session, found = deployment.session, deployment.deployed()
    wanted = session.options.undeploy
    chosen = found if wanted == "all" else {wanted: found[wanted]} if wanted in found else {}
    if not chosen:
        expected = f"all, or one of {', '.join(found)}"
        raise UserError(f"{wanted} is not deployed", expected, "see nox -s deploy -- --list")
    busy = [each.id for each in chosen.values() if each.traffic and len(chosen) < len(found)]
    if busy:
        what = f"{busy[0]} gets {found[busy[0]].traffic} % of the requests"
        fix = "give them to another with --promote or --rollback first"
        raise UserError(what, "a model without requests, or all", fix)
    for each in sorted(chosen.values(), key=lambda each: each.traffic):
        if not session.options.yes:
            confirm(each, deployment.name)
        deployment.service.undeploy(deployment.name, each.id)
        deployment.step("undeployed", f"{each.id}, run {each.run}")
    return 0


def confirm(deployed: Deployed, endpoint: str) -> None:
    what = f"undeploy {deployed.id} (run {deployed.run}) from {endpoint}"
    if not sys.stdin.isatty():
        raise UserError(f"{what} is not confirmed", "--yes", "add it")
    if input(f"{what}, which may end predictions? [y/N] ").strip().lower() != "y":
        raise UserError(f"{what} is not confirmed", "y", "nothing is changed")


def show(deployment: Deployment) -> int:
    """List everything that bills, at every endpoint of the region."""
    rows = []
    for endpoint in deployment.service.endpoints():
        name = endpoint["name"].rpartition("/")[2]
        for each in deployments(endpoint).values():
            since = each.created[:SHOWN_OF_TIME].replace("T", " ")
            version = f"{name}: {each.version.rpartition('/')[2]}"
            traffic = f"{each.traffic} %"
            rows.append((each.id, version, each.run, traffic, each.machine, each.replicas, since))
    deployment.session.console.table(HEADINGS, rows)
    if rows:
        deployment.step("cost", f"bills until undeployed: {google_cloud()['prices']}")
    return 0


ACTIONS = {"list": show, "promote": promote, "rollback": rollback, "undeploy": undeploy}


def predictions_of(session: Session, model: Path) -> list[tuple[Any, Mapping[str, Any]]]:
    """Return the example rows, each with the prediction of the model on this machine."""
    examples = Path(session.project.absolute(session.job.data.prepared), EXAMPLES)
    if not examples.is_file():
        expected = "the rows that preparing the data sets aside"
        raise UserError(f"{examples} does not exist", expected, "run nox -s prepare first")
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "known.jsonl")
        arguments = ["--model", str(model), "--input", str(examples), "--output", str(output)]
        code = session.run_module(session.project.training, PREDICT_MODULE, "-q", *arguments)
        if code:
            raise UserError("the model predicts nothing here", "a model", "see the error above")
        pairs = zip(lines_of(examples), lines_of(output), strict=True)
        return list(pairs)


def lines_of(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def first_difference(
    known: Sequence[tuple[Any, Mapping[str, Any]]], predictions: Sequence[Mapping[str, Any]]
) -> str:
    if len(predictions) != len(known):
        return f"returns {len(predictions)} predictions of {len(known)} known rows"
    for number, ((_, expected), found) in enumerate(zip(known, predictions, strict=True), 1):
        for name, value in expected.items():
            if not is_close(found.get(name), value):
                return f"predicts {found.get(name)!r:.40} for known row {number}, not {value!r:.40}"
    return ""


def is_close(found: Any, expected: Any) -> bool:
    if isinstance(expected, list):
        same = isinstance(found, list) and len(found) == len(expected)
        return same and all(map(is_close, found, expected))
    if isinstance(expected, float) and isinstance(found, (int, float)):
        return abs(found - expected) <= TOLERANCE * max(1.0, abs(expected))
    return bool(found == expected)
