"""The part of Cloud Build that a launcher needs to build an image. Nothing is built.

Source: https://cloud.google.com/build/docs/api/reference/rest/v1/projects.builds
"""

import itertools
import time

from tests.doubles.objects import timestamp
from tests.doubles.server import ApiError, Json, Request, Response, Route, json_response

METADATA = "type.googleapis.com/google.devtools.cloudbuild.v1.BuildOperationMetadata"
PARENT = "/v1/(projects/[^/]+(?:/locations/[^/]+)?)"


class Builds:
    """The builds of all projects. Each is queued, and done at the next request for it."""

    def __init__(self, status: str = "SUCCESS") -> None:
        self.status = status
        """What builds end as."""
        self.builds: dict[str, Json] = {}
        self.ids = itertools.count(1)
        self.routes: list[Route] = [
            ("POST", PARENT + "/builds", self.create),
            ("GET", PARENT + "/builds/([^/]+)", self.get),
            (
                "GET",
                "/v1/(?:projects/[^/]+/locations/[^/]+/)?operations/(?:build/[^/]+/)?([^/]+)",
                self.operation,
            ),
        ]

    def create(self, request: Request, parent: str) -> Response:
        """Accept a build and return its operation."""
        build = request.json()
        if not build.get("steps") or any(not step.get("name") for step in build["steps"]):
            raise ApiError(400, "invalid build: no build steps, or one without a name")
        identifier = f"00000000-0000-4000-8000-{next(self.ids):012}"
        project = parent.split("/")[1]
        made = {"id": identifier, "projectId": project, "createTime": timestamp(time.time())}
        self.builds[identifier] = {**build, **made, "status": "QUEUED"}
        return self.operation(request, identifier)

    def get(self, request: Request, parent: str, identifier: str) -> Response:
        """Return a build, now done."""
        build = self.build(identifier)
        build |= {"status": self.status, "finishTime": timestamp(time.time())}
        return json_response(build)

    def operation(self, request: Request, identifier: str) -> Response:
        build = self.build(identifier)
        name = f"operations/build/{build['projectId']}/{identifier}"
        metadata = {"@type": METADATA, "build": build}
        return json_response({"name": name, "metadata": metadata, "done": "finishTime" in build})

    def build(self, identifier: str) -> Json:
        """Return a build; raise ApiError if there is none."""
        if identifier not in self.builds:
            raise ApiError(404, f"Requested entity was not found: {identifier}")
        return self.builds[identifier]
