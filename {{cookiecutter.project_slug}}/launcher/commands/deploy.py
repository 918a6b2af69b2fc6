"""`nox -s deploy`: register a model, serve it at an endpoint to a share of the requests, then to all, and back."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

from launcher.checks.bucket import bucket_findings
from launcher.checks.serving import serving_findings
from launcher.commands.image import serving_image
from launcher.commands.predict import KnownRows, first_difference, known_rows, model_of
from launcher.commands.session import Session
from launcher.console import Refused, UserError
from launcher.contract import EVALUATION, EXIT_FAILED, SAVED_MODEL
from launcher.executors.vertex.models import Deployed, ModelService, OperationFailed, deployments
from launcher.executors.vertex.services import RequestRefused
from launcher.executors.vertex.storage import storage_client, upload_folder
from launcher.files import locked, read_json, write_atomically
from launcher.packaging.sdist import digest
from launcher.spec import serving
from launcher.spec.catalog import google_cloud
from launcher.spec.custom_job import folder_uri
from launcher.spec.job_file import Job
from launcher.spec.serving import Release

MAX_REQUESTS = 20
"""How many requests the new model should have got, by its share, before it counts as getting none."""
HEADINGS = ("ID", "VERSION", "RUN", "TRAFFIC", "MACHINE", "REPLICAS", "SINCE (UTC)", "DAYS")
SHOWN_OF_TIME, SHOWN_OF_DATE = len("2026-01-01T00:00:00"), len("2026-01-01")
EXPIRY_LABEL = "expires"


def deploy(session: Session) -> int:
    options = session.options
    if findings := serving_findings(session.job, options.traffic):
        raise Refused(findings)
    for name, action in ACTIONS.items():
        if getattr(options, name):
            session.require_ready()
            return action(Deployment.of(session))
    session.refuse_beside("register_only", ("traffic", "dry_run"), "one of them")
    release, model = release_of(session)
    if options.dry_run:
        print(json.dumps(bodies(session.job, release), indent=2))
        report_cost(session)
        return 0
    session.require_ready()
    deployment = Deployment.of(session)
    # A model that predicts nothing here is not uploaded either.
    known = () if options.register_only else known_rows(session, model)
    version = deployment.registered(release, model)
    if options.register_only:
        print(version)
        return 0
    return deployment.serve(release, version, known)


def release_of(session: Session) -> tuple[Release, Path]:
    """Return the model that --run or --model names, else the newest, and its folder."""
    model, job = model_of(session), session.job
    files = {
        path.relative_to(model).as_posix(): path.read_bytes()
        for path in model.rglob("*")
        if path.is_file()
    }
    if SAVED_MODEL not in files:
        what, expected = f"{model} holds no model", f"a folder with a {SAVED_MODEL}"
        raise UserError(what, expected, "run nox -s local_train first, or name another")
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


def report_cost(session: Session) -> None:
    serving = session.job.serving
    machines = f"{serving.min_replicas} to {serving.max_replicas} x {serving.machine}"
    text = f"{machines}, bills until undeployed: {google_cloud()['prices']}"
    session.console.step("cost", text)


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
        name, marker = serving.model_id(self.session.job), self.marker(release)
        lock = marker.with_name("lock")
        with locked(lock, "another deployment of this project", self.session.console):
            version = (
                self.service.find_version(name, release.fingerprint)
                or self.continued(name, release)
                or self.uploaded(name, release, model)
            )
            marker.unlink(missing_ok=True)
        self.step("model", f"{version.rpartition('/')[2]}, run {release.run}")
        self.attach_evaluation(release, version, model)
        return version

    def uploaded(self, name: str, release: Release, model: Path) -> str:
        job, service, marker = self.session.job, self.service, self.marker(release)
        client, console = storage_client(job.cloud.project), self.session.console
        if findings := bucket_findings(job, client, console, elsewhere=False):
            raise Refused(findings)
        upload_folder(client, model, release.artifact_uri, console)
        parent = (service.model(name) or {}).get("name", "")
        write_atomically(marker, "{}")
        try:
            operation = service.begin_upload(serving.upload_body(job, release, parent))
        except RequestRefused:
            marker.unlink()  # there is no version to wait for
            raise
        write_atomically(marker, json.dumps({"operation": operation}))
        return service.end_upload(operation)

    def marker(self, release: Release) -> Path:
        """Return the file that says that a version may be in the making, and by which operation."""
        return self.session.project.submissions / "uploads" / f"{release.fingerprint}.json"

    def continued(self, name: str, release: Release) -> str | None:
        """Return the version that a command which was killed has begun to create, None if none appears."""
        marker, service = self.marker(release), self.service
        if not marker.is_file():
            return None
        if operation := read_json(marker).get("operation"):
            try:
                return service.end_upload(operation)
            except (OperationFailed, RequestRefused):
                return None
        found = service.appearing(lambda: service.find_version(name, release.fingerprint))
        return str(found) if found else None

    def attach_evaluation(self, release: Release, version: str, model: Path) -> None:
        if found := read_json(model.parent / EVALUATION):
            body = serving.evaluation_body(release, found)
            if self.service.import_evaluation(version, body):
                self.step("metrics", "attached from nox -s evaluate")

    def serve(self, release: Release, version: str, known: KnownRows) -> int:
        """Deploy a version, give it its first share of the requests, and take that back if it predicts otherwise."""
        new = serving.deployed_id(release)
        self.make_deployed(new, release, version)
        split = {each.id: each.traffic for each in self.deployed().values() if each.traffic}
        asked = self.session.options.traffic
        if asked or new not in split:
            share = asked or self.session.job.serving.traffic
            self.service.set_split(self.name, serving.with_share(split, new, share))
        if problem := self.difference(new, known):
            return self.given_back(new, split, problem)
        self.step("test", f"{len(known)} known rows are predicted as here")
        return show(self)

    def make_deployed(self, new: str, release: Release, version: str) -> None:
        """Make the endpoint and the deployed model `new`, unless they are there; only the first gets requests at once."""
        job, service = self.session.job, self.service
        if not service.endpoint(self.name):
            service.create_endpoint(self.name, serving.endpoint_body(job))
        before = deployments(service.endpoint(self.name) or {})
        if new not in before:
            first = not any(each.traffic for each in before.values())
            report_cost(self.session)
            self.step("deploy", "some minutes")
            service.deploy(self.name, serving.deploy_body(job, release, version, first))

    def given_back(self, new: str, split: serving.Split, problem: str) -> int:
        """Take the requests from a model that predicts otherwise, report it, and return the exit code."""
        # A command that was killed may have left requests with the new one.
        without = serving.with_share(split, new, 0) if new in split else split
        self.service.set_split(self.name, without)
        result = "" if new in without else "its requests are given back, "
        what = f"the new model {problem}; expected the predictions of this machine"
        fix = f"{result}it still bills: nox -s deploy -- --undeploy {new}"
        self.session.console.error(f"{what}; {fix}")
        return EXIT_FAILED

    def difference(self, new: str, known: KnownRows) -> str:
        """Return how the predictions of a deployed model differ from the known ones, "" if they do not."""
        endpoint = self.service.endpoint(self.name) or {}
        instances, refusal = [instance for instance, _ in known], ""
        requests = MAX_REQUESTS * 100 // max(1, deployments(endpoint)[new].traffic)
        for _ in range(requests):
            try:
                response = self.service.predict(endpoint, instances)
            except UserError as error:
                refusal = f"refuses known rows ({str(error).partition('; expected')[0]})"
                # An earlier model, whose columns are others, may be the one that refuses them.
                if isinstance(error, RequestRefused):
                    continue
                return refusal
            if str(response.get("deployedModelId")) == new:
                return first_difference(known, response.get("predictions", []))
        return refusal or f"got none of {requests} requests"

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
    """Give all requests to the latest deployed model."""
    return deployment.moved(latest(deployment.deployed()))


def rollback(deployment: Deployment) -> int:
    """Take all requests from the latest deployed model."""
    found = deployment.deployed()
    others = [each for each in found.values() if each != latest(found)]
    earlier = [each for each in others if each.traffic] or others
    if len(earlier) != 1:
        what, fix = f"{len(earlier)} earlier models", "nox -s deploy -- --run N --traffic 100"
        raise UserError(what, "an earlier one, still deployed", fix)
    return deployment.moved(earlier[0])


def latest(found: Mapping[str, Deployed]) -> Deployed:
    """Return the newest deployed model; the newest of those that share the requests if several do."""
    busy = [each for each in found.values() if each.traffic]
    return (busy if len(busy) > 1 else [*found.values()])[-1]


def undeploy(deployment: Deployment) -> int:
    """Undeploy the model that is named, or all; one that gets requests only as the last one."""
    session, found = deployment.session, deployment.deployed()
    wanted = session.options.undeploy
    ending = [each for each in found.values() if wanted in ("all", each.id)]
    if not ending:
        expected = f"all, or one of {', '.join(found)}"
        raise UserError(f"{wanted} is not deployed", expected, "see nox -s deploy -- --list")
    ending.sort(key=lambda each: each.traffic)
    if ending[-1].traffic and len(ending) < len(found):
        what = f"{wanted} gets {ending[-1].traffic} % of the requests"
        fix = "give them to another with --promote or --rollback first"
        raise UserError(what, "a model without requests, or all", fix)
    for each in ending:
        if not session.options.yes:
            confirm(each, deployment.name)
        if each.traffic and each != ending[-1]:  # only the last one may have requests
            deployment.service.set_split(deployment.name, {ending[-1].id: 100})
        deployment.service.undeploy(deployment.name, each.id)
        deployment.step("undeployed", f"{each.id}, run {each.run}")
    return 0


def confirm(deployed: Deployed, endpoint: str) -> None:
    what = f"undeploy {deployed.id} (run {deployed.run}) from {endpoint}"
    if not sys.stdin.isatty():
        raise UserError(f"{what} is not confirmed", "--yes", "add it")
    print(f"{what}, which may end predictions? [y/N] ", end="", flush=True)
    if sys.stdin.readline().strip().lower() != "y":
        raise UserError(f"{what} is not confirmed", "y", "run it again, and type y")


def show(deployment: Deployment) -> int:
    """List everything that bills, at every endpoint of the region."""
    rows, today = list[Sequence[str]](), datetime.now(timezone.utc).date()
    for endpoint in deployment.service.endpoints():
        name, found = endpoint["name"].rpartition("/")[2], deployments(endpoint)
        for each in found.values():
            since = each.created[:SHOWN_OF_TIME].replace("T", " ")
            version = f"{name}: {each.version.rpartition('/')[2]}"
            days = str((today - date.fromisoformat(each.created[:SHOWN_OF_DATE])).days)
            shown = (each.id, version, each.run, f"{each.traffic} %", each.machine, each.replicas)
            rows.append((*shown, since, days))
        expiry = str(endpoint.get("labels", {}).get(EXPIRY_LABEL, ""))
        if found and expiry and expiry < today.isoformat():
            fix = "nox -s deploy -- --undeploy all"
            deployment.session.console.warning(f"{name} has expired on {expiry}, and bills; {fix}")
    deployment.session.console.table(HEADINGS, rows)
    if rows:
        deployment.step("cost", f"bills until undeployed: {google_cloud()['prices']}")
    return 0


ACTIONS = {"list": show, "promote": promote, "rollback": rollback, "undeploy": undeploy}
