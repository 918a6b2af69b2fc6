"""A double of BigQuery's REST: datasets, tables, and jobs that query, load and export; it computes with DuckDB.

Not modelled, and refused with 501: scripts, sessions, streaming, other formats than CSV and Parquet. Not shown here: what
Google's own planner reads and bills. A job is run when it is inserted, and is done at the next request for it.
"""

import re
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from tests.doubles.server import ApiError, Json, Request, Response, Route, json_response
from tests.doubles.storage import StorageService
from tests.doubles.warehouse import EXPORT, Warehouse, cells_of, fields_of, is_query

PROJECT = "/bigquery/v2/projects/([^/]+)"
DATASET = PROJECT + "/datasets/([^/]+)"
TABLE = DATASET + "/tables/([^/]+)"
JOB_ID = re.compile(r"[a-zA-Z0-9_-]{1,1024}")
PAGE_ROWS = 1000


@dataclass
class Job:
    """A job, and the rows of its result; None if it has none."""

    resource: Json
    rows: Any = None
    seen: int = field(default=0)


def check_billed(size: int, limit: str | None) -> None:
    """Raise ApiError if a query reads more bytes than its job may bill."""
    if limit is not None and size > int(limit):
        message = f"Query exceeded limit for bytes billed: {limit}. {size} or higher required."
        raise ApiError(400, message)


class BigQuery:
    """The datasets, tables and jobs of all projects."""

    def __init__(self, storage: StorageService) -> None:
        self.storage = storage
        self.datasets: dict[tuple[str, str], Json] = {}
        self.jobs: dict[tuple[str, str], Job] = {}
        self.lock = threading.RLock()
        self.made: Warehouse | None = None
        self.routes: list[Route] = [
            ("POST", PROJECT + "/datasets", self.insert_dataset),
            ("GET", DATASET, lambda request, *name: json_response(self.dataset(*name))),
            ("DELETE", DATASET, self.delete_dataset),
            ("GET", TABLE, self.get_table),
            ("POST", PROJECT + "/jobs", self.insert_job),
            ("GET", PROJECT + "/jobs/([^/]+)", self.get_job),
            ("POST", PROJECT + "/jobs/([^/]+)/cancel", self.cancel_job),
            ("GET", PROJECT + "/queries/([^/]+)", self.results),
        ]

    @property
    def warehouse(self) -> Warehouse:
        """What computes; it needs DuckDB and sqlglot, which the other doubles do not."""
        self.made = self.made or Warehouse(self.storage)
        return self.made

    def dataset(self, project: str, dataset: str) -> Json:
        """Return a dataset; raise ApiError if there is none."""
        if (project, dataset) not in self.datasets:
            raise ApiError(404, f"Not found: Dataset {project}:{dataset}")
        return self.datasets[project, dataset]

    def create_dataset(self, project: str, name: str, location: str) -> None:
        """Create a dataset without a client."""
        reference = {"projectId": project, "datasetId": name}
        self.datasets[project, name] = {"datasetReference": reference, "location": location}
        self.warehouse.create_dataset(project, name)

    def insert_dataset(self, request: Request, project: str) -> Response:
        resource = request.json()
        name = str(resource["datasetReference"]["datasetId"])
        if not re.fullmatch(r"\w{1,1024}", name):
            raise ApiError(400, f"Invalid dataset ID {name!r}")
        with self.lock:
            if (project, name) in self.datasets:
                raise ApiError(409, f"Already Exists: Dataset {project}:{name}")
            resource["location"] = str(resource.get("location", "US"))
            self.datasets[project, name] = resource
            self.warehouse.create_dataset(project, name)
        return json_response(resource)

    def delete_dataset(self, request: Request, project: str, name: str) -> Response:
        with self.lock:
            self.dataset(project, name)
            query = "SELECT 1 FROM information_schema.tables WHERE (table_catalog, table_schema) = (?, ?)"
            held = self.warehouse.connection.execute(query, [project, name]).fetchall()
            if held and request.value("deleteContents") != "true":
                raise ApiError(400, f"Dataset {project}:{name} is still in use")
            del self.datasets[project, name]
            self.warehouse.drop_dataset(project, name)
        return Response(204)

    def get_table(self, request: Request, project: str, dataset: str, table: str) -> Response:
        location = self.dataset(project, dataset)["location"]
        if not self.warehouse.exists(project, dataset, table):
            raise ApiError(404, f"Not found: Table {project}:{dataset}.{table}")
        rows = self.warehouse.describe(project, dataset, table)
        statement = f"{project} {dataset} {table}"
        size = self.warehouse.bytes_of(project, dataset, statement)
        reference = {"projectId": project, "datasetId": dataset, "tableId": table}
        return json_response(
            {
                "tableReference": reference,
                "schema": {"fields": fields_of(rows)},
                **{"location": location, "type": "TABLE", "lastModifiedTime": "1"},
                **{"numBytes": str(size), "numRows": str(size // 100), "etag": "1"},
            }
        )

    def insert_job(self, request: Request, project: str) -> Response:
        """Run a job; a job ID that exists is refused, so that a request that is repeated makes no second job."""
        resource = request.json()
        reference = resource.get("jobReference") or {}
        identifier = str(reference.get("jobId", ""))
        if not JOB_ID.fullmatch(identifier):
            raise ApiError(400, f"Invalid job ID {identifier!r}")
        with self.lock:
            if (project, identifier) in self.jobs:
                raise ApiError(409, f"Already Exists: Job {project}:{identifier}")
            now = str(round(time.time() * 1000))
            resource["statistics"] = {"creationTime": now, "startTime": now}
            resource["status"] = {"state": "RUNNING"}
            job = Job(resource)
            dry = bool(resource["configuration"].get("dryRun"))
            if not dry:
                self.jobs[project, identifier] = job
            try:
                self.run(job, project, str(reference.get("location", "US")), dry)
            except ApiError as error:
                if dry or error.code == 501:
                    self.jobs.pop((project, identifier), None)
                    raise
                reason = {404: "notFound", 409: "duplicate"}.get(error.code, "invalidQuery")
                failed = {"reason": reason, "message": error.message}
                resource["status"] |= {"errorResult": failed, "errors": [failed]}
        return json_response(resource)

    def run(self, job: Job, project: str, location: str, dry: bool) -> None:
        settings = job.resource["configuration"]
        if "load" in settings:
            return self.load(job, settings["load"], location)
        self.query(job, settings["query"], project, location, dry)

    def query(self, job: Job, settings: Json, project: str, location: str, dry: bool) -> None:
        if settings.get("useLegacySql", True):
            raise ApiError(501, "The double has no legacy SQL")
        default = settings.get("defaultDataset", {}).get("datasetId", "")
        target = settings.get("destinationTable")
        for name in filter(None, (default, target and target["datasetId"])):
            self.check_location(project, name, location)
        cursor = self.warehouse.session(project, default)
        statement = self.warehouse.prepared(cursor, settings["query"])
        for other, name in re.findall(r"`([\w:-]+)\.(\w+)\.\w+`", statement):
            self.check_location(other, name, location)
        size = self.warehouse.bytes_of(project, default, statement)
        counted: Json = {"totalBytesProcessed": str(size), "totalBytesBilled": str(size)}
        job.resource["statistics"] |= {"totalBytesProcessed": str(size), "query": counted}
        exporting = EXPORT.fullmatch(statement)
        selecting = exporting[2] if exporting else statement
        if dry:
            counted["schema"] = self.schema_of(cursor, selecting)
            return
        check_billed(size, settings.get("maximumBytesBilled"))
        rows = self.warehouse.query(cursor, selecting)
        if exporting:
            self.warehouse.export(exporting[1], rows, location)
        elif target:
            disposition = settings.get("writeDisposition", "WRITE_EMPTY")
            self.warehouse.store(project, target, rows, disposition)
        else:
            job.rows = rows
        kind = re.match(r"\w+", statement)
        counted["statementType"] = kind[0] if kind and not is_query(statement) else "SELECT"

    def schema_of(self, cursor: Any, statement: str) -> Json:
        """Return the schema of the rows of a statement, without them; {} if it has none."""
        if not is_query(statement):
            return {}
        rows = self.warehouse.query(cursor, f"SELECT * FROM ({statement}) LIMIT 0")
        return {"fields": fields_of(rows)}

    def load(self, job: Job, settings: Json, location: str) -> None:
        table = settings["destinationTable"]
        self.check_location(table["projectId"], table["datasetId"], location)
        rows, bad, errors = self.warehouse.load(settings, location)
        disposition = settings.get("writeDisposition", "WRITE_APPEND")
        self.warehouse.store(table["projectId"], table, rows, disposition)
        counted = {"outputRows": str(rows.num_rows), "badRecords": str(bad)}
        job.resource["statistics"]["load"] = counted
        job.resource["status"]["errors"] = errors

    def check_location(self, project: str, dataset: str, location: str) -> None:
        """Raise ApiError for a dataset that is elsewhere than the job: a job there does not find it."""
        place = str(self.dataset(project, dataset)["location"])
        if place.upper() != location.upper():
            raise ApiError(
                404, f"Not found: Dataset {project}:{dataset} was not found in location {location}"
            )

    def job(self, project: str, identifier: str) -> Job:
        """Return a job, which is done from now on; raise ApiError if there is none."""
        if (project, identifier) not in self.jobs:
            raise ApiError(404, f"Not found: Job {project}:{identifier}")
        job = self.jobs[project, identifier]
        job.resource["status"]["state"] = "DONE"
        return job

    def get_job(self, request: Request, project: str, identifier: str) -> Response:
        return json_response(self.job(project, identifier).resource)

    def cancel_job(self, request: Request, project: str, identifier: str) -> Response:
        return json_response({"job": self.job(project, identifier).resource})

    def results(self, request: Request, project: str, identifier: str) -> Response:
        """Return a page of the rows of a query; the error of one that failed."""
        job = self.job(project, identifier)
        if failed := job.resource["status"].get("errorResult"):
            raise ApiError(400, failed["message"])
        found: Json = {"jobComplete": True, "jobReference": job.resource["jobReference"]}
        if job.rows is None:
            return json_response({**found, "totalRows": "0", "schema": {"fields": []}})
        first, total = int(request.value("pageToken", "0")), job.rows.num_rows
        count = min(PAGE_ROWS, int(request.value("maxResults", str(PAGE_ROWS))))
        found |= {"totalRows": str(total), "schema": {"fields": fields_of(job.rows)}}
        found["rows"] = cells_of(job.rows, first, count)
        if first + count < total:
            found["pageToken"] = str(first + count)
        return json_response(found)
