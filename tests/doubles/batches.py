"""A double of batch prediction jobs: requests of some rows each, results without an order, and rows that fail.

Source: https://cloud.google.com/vertex-ai/docs/predictions/get-batch-predictions
"""

import itertools
import json
import random
import threading
import time
from pathlib import Path

from tests.doubles.listing import listed
from tests.doubles.model_rules import label_problems, location_problems
from tests.doubles.models import Models
from tests.doubles.objects import timestamp
from tests.doubles.rules import Problems, invalid_argument, name_problems, parsed
from tests.doubles.server import ApiError, Json, Request, Response, Route, json_response

PARENT = "(projects/[^/]+/locations/[^/]+)"
JOBS = f"/v1/{PARENT}/batchPredictionJobs"
JOB = "/v1/(projects/[^/]+/locations/[^/]+/batchPredictionJobs/[^/:]+)"
FORMATS = {"jsonl": "gcsSource", "csv": "gcsSource", "bigquery": "bigquerySource"}
FIRST_ID = 7_000_000_000_000_000_001


class Batches:
    """The batch jobs of all projects; each is pending for `pace` seconds."""

    def __init__(self, models: Models, pace: float) -> None:
        self.models, self.pace = models, pace
        self.jobs: dict[str, Json] = {}
        self.ids, self.chance = itertools.count(FIRST_ID), random.Random(0)
        self.threads: list[threading.Thread] = []
        self.routes: list[Route] = [
            ("POST", JOBS, self.create),
            ("GET", JOBS, self.list_jobs),
            ("GET", JOB, lambda _, name: json_response(dict(self.job(name)))),
            ("POST", f"{JOB}:cancel", self.cancel),
        ]

    def job(self, name: str) -> Json:
        if name not in self.jobs:
            raise ApiError(404, f"The BatchPredictionJob {name!r} does not exist.")
        return self.jobs[name]

    def create(self, _request: Request, parent: str) -> Response:
        job = parsed(_request.json(), "BatchPredictionJob")
        self.check(job, parent)
        name, now = f"{parent}/batchPredictionJobs/{next(self.ids)}", timestamp(time.time())
        self.jobs[name] = {**job, "name": name, "state": "JOB_STATE_PENDING", "createTime": now}
        self.threads.append(threading.Thread(target=self.live, args=(name,), daemon=True))
        self.threads[-1].start()
        return json_response(dict(self.jobs[name]))

    def check(self, job: Json, parent: str) -> None:
        """Raise ApiError that lists every problem of a batch job."""
        storage = self.models.storage
        region, given = parent.split("/")[3], job.get("inputConfig", {})
        problems = [*location_problems(region, storage.catalog), *label_problems(job)]
        problems += name_problems(job, storage.catalog["limits"])
        problems += [*input_problems(given, job.get("instanceConfig", {})), *size_problems(job)]
        if not str(job.get("model", "")).startswith(f"{parent}/models/"):
            problems.append(("model", f"exactly one model of the location {region!r} is required"))
        uris = [*given.get("gcsSource", {}).get("uris", ())]
        uris += [*job.get("outputConfig", {}).get("gcsDestination", {}).values()]
        for bucket in (str(uri).removeprefix("gs://").partition("/")[0] for uri in uris):
            if storage.buckets.get(bucket, {}).get("location", "").lower() != region:
                problems.append(("input_config", f"The bucket {bucket!r} is not in {region!r}"))
        if problems:
            raise invalid_argument(problems)
        self.models.version(job["model"])

    def list_jobs(self, request: Request, parent: str) -> Response:
        return json_response(listed(request, "batchPredictionJobs", dict(self.jobs), parent))

    def cancel(self, _: Request, name: str) -> Response:
        self.job(name)["state"] = "JOB_STATE_CANCELLED"
        return json_response({})

    def live(self, name: str) -> None:
        time.sleep(self.pace)
        job = self.jobs[name]
        if job["state"] == "JOB_STATE_CANCELLED":
            return
        if job["inputConfig"]["instancesFormat"] == "bigquery":
            table = {"bigqueryOutputTable": "predictions_2026"}
            self.jobs[name] = {**job, "outputInfo": table, "state": "JOB_STATE_SUCCEEDED"}
            return
        rows = self.rows(job)
        results, failed = self.results(job, rows)
        folder = f"{job['outputConfig']['gcsDestination']['outputUriPrefix']}/prediction-model-1"
        self.write(folder, results, failed)
        stats = {"successfulCount": str(len(results)), "failedCount": str(len(failed))}
        ended: Json = {"state": "JOB_STATE_SUCCEEDED", "completionStats": stats}
        if len(failed) > len(rows) / 2:
            error = {"code": 3, "message": "The fraction of failed instances is too large."}
            ended |= {"state": "JOB_STATE_FAILED", "error": error}
        self.jobs[name] = {**job, **ended, "outputInfo": {"gcsOutputDirectory": folder}}

    def rows(self, job: Json) -> list[Json]:
        root = self.models.storage.root
        paths = [
            root / uri.removeprefix("gs://") for uri in job["inputConfig"]["gcsSource"]["uris"]
        ]
        # Through the service's Value every number is a double.
        lines = (line for path in paths for line in path.read_text().splitlines())
        return [json.loads(line, parse_int=float) for line in lines]

    def results(self, job: Json, rows: list[Json]) -> tuple[list[Json], list[Json]]:
        """Return the results and the errors; all rows of a request that is refused fail."""
        version = self.models.version(job["model"])
        container = self.models.start(Path(version["folder"]), version["containerSpec"])
        size = int(job["manualBatchTuningParameters"]["batchSize"])
        field = job["instanceConfig"]["keyField"]
        results, failed = list[Json](), list[Json]()
        for first in range(0, len(rows), size):
            part = rows[first : first + size]
            instances = [{n: v for n, v in row.items() if n != field} for row in part]
            try:
                pairs = zip(part, container(instances), strict=True)
                results += [{"key": row[field], "prediction": each} for row, each in pairs]
            except ValueError as error:
                failed += [{"key": row[field], "error": str(error)} for row in part]
        self.chance.shuffle(results)
        return results, failed

    def write(self, folder: str, results: list[Json], failed: list[Json]) -> None:
        root = self.models.storage.root / folder.removeprefix("gs://")
        root.mkdir(parents=True)
        half = len(results) // 2
        shards = {"prediction.results-00000-of-00002": results[:half]}
        shards["prediction.results-00001-of-00002"] = results[half:]
        shards["prediction.errors_stats-00000-of-00001"] = failed
        for shard, lines in shards.items():
            (root / shard).write_text("".join(f"{json.dumps(line)}\n" for line in lines))

    def close(self) -> None:
        for thread in self.threads:
            thread.join()


def input_problems(given: Json, instances: Json) -> Problems:
    sources = [each for each in ("gcsSource", "bigquerySource") if each in given]
    wanted, kind = FORMATS.get(given.get("instancesFormat", "")), given.get("instancesFormat")
    if wanted is None:
        yield "input_config.instances_format", f"Unknown format {kind!r}"
    elif sources != [wanted]:
        yield "input_config", f"{kind!r} needs exactly {wanted}"
    if kind == "csv" and instances.get("instanceType"):
        yield "instance_config", "instance_type is not for csv"
    if instances.get("includedFields") and instances.get("excludedFields"):
        yield "instance_config", "included_fields and excluded_fields exclude each other"


def size_problems(job: Json) -> Problems:
    if int(job.get("dedicatedResources", {}).get("startingReplicaCount", 0)) < 1:
        yield "dedicated_resources.starting_replica_count", "At least 1 is required"
    if int(job.get("manualBatchTuningParameters", {}).get("batchSize", 64)) < 1:
        yield "manual_batch_tuning_parameters.batch_size", "At least 1 is required"
