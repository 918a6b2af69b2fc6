"""The validation of the job service, by google_cloud.json and the SDK's own types.

Sources: https://cloud.google.com/vertex-ai/docs/training/configure-compute, -/create-custom-job,
-/distributed-training, -/use-spot-vms, -/schedule-jobs-dws, -/use-reservations, -/cloud-storage-file-system
"""

import datetime
import importlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.doubles.machines import machine_problems, tpu_chips
from tests.doubles.server import ApiError, Json

MOST_POOLS = 4
MOST_LABELS = 64
MOST_PACKAGES = 100
TRAINING_IMAGE = re.compile(
    "(us|europe|asia)-docker[.]pkg[.]dev/vertex-ai/training/([^/:@]+):latest"
)
RESERVATION_KEY = "compute.googleapis.com/reservation-name"
RESERVATION = re.compile("projects/[^/]+/zones/([a-z0-9-]+)-[a-z]/reservations/[^/]+")
DISK_TYPES = ("pd-ssd", "pd-standard", "hyperdisk-balanced")
LABEL = re.compile(r"[\w-]*")
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"

Problem = tuple[str, str]
"""The path of a field, and what is wrong with it."""
Problems = Iterator[Problem]


@dataclass(frozen=True)
class Rules:
    """The context in which a job is validated."""

    catalog: Json
    region: str
    bucket: Callable[[str], Json | None]
    """Returns a bucket's metadata, None if there is no such bucket."""
    today: datetime.date

    def check(self, job: Json) -> None:
        """Raise ApiError that lists every problem of a job."""
        found = list(self.problems(job))
        if found:
            raise invalid_argument(found)

    def problems(self, job: Json) -> Problems:
        if self.region not in (*self.catalog["regions"], *self.catalog["regions_of_gcloud"]):
            yield "parent", f"Location {self.region!r} is not found or access is unauthorized"
        spec = job.get("jobSpec", {})
        yield from name_problems(job, self.catalog["limits"])
        yield from pool_count_problems(spec.get("workerPoolSpecs", []))
        for number, pool in enumerate(spec.get("workerPoolSpecs", [])):
            if pool:
                for field, text in self.pool_problems(pool):
                    yield f"job_spec.worker_pool_specs[{number}].{field}", text
        yield from scheduling_problems(spec, self.catalog)
        yield from self.argument_problems(spec)
        base = spec.get("baseOutputDirectory", {}).get("outputUriPrefix")
        if base is not None:
            yield from self.uri_problems("job_spec.base_output_directory.output_uri_prefix", base)

    def pool_problems(self, pool: Json) -> Problems:
        """Yield the problems of one pool that isn't empty."""
        machine = pool.get("machineSpec", {})
        yield from machine_problems(machine, self.region, self.catalog, self.today)
        yield from self.reservation_problems(machine)
        yield from disk_problems(pool.get("diskSpec", {}))
        if "containerSpec" in pool:
            if not pool["containerSpec"].get("imageUri"):
                yield "container_spec.image_uri", "Required field is not set"
        elif "pythonPackageSpec" in pool:
            yield from self.package_problems(pool["pythonPackageSpec"])
        else:
            yield "task", "One of container_spec and python_package_spec must be set"
        started = pool.get("containerSpec") or pool.get("pythonPackageSpec") or {}
        if len(started.get("env", [])) > self.catalog["limits"]["environment_entries"]:
            yield "env", "Too many environment variables: at most 100 are allowed"

    def package_problems(self, spec: Json) -> Problems:
        """Yield the problems of a Python package and of the image that is to run it."""
        where = "python_package_spec"
        yield from self.executor_problems(spec.get("executorImageUri", ""))
        if not spec.get("pythonModule"):
            yield f"{where}.python_module", "Required field is not set"
        packages = spec.get("packageUris", [])
        if not 1 <= len(packages) <= MOST_PACKAGES:
            yield f"{where}.package_uris", "Between 1 and 100 packages are required"
        for uri in packages:
            yield from self.uri_problems(f"{where}.package_uris", uri)

    def executor_problems(self, image: str) -> Problems:
        """Yield the problems of an image for Python packages: it must be Google's, and still available."""
        where = "python_package_spec.executor_image_uri"
        known = self.catalog.get("executor_images")
        if known is None:
            return
        match = TRAINING_IMAGE.fullmatch(image)
        if not match or match[2] not in known:
            yield where, f"Image URI {image!r} is not supported for Python package training"
        elif known[match[2]]["ended"] < self.today.isoformat():
            yield where, f"Image {image!r} is no longer available since {known[match[2]]['ended']}"

    def uri_problems(self, where: str, uri: str) -> Problems:
        """Yield the problems of a gs:// URI: serverless training mounts regional buckets only."""
        match = re.fullmatch(r"gs://([^/]+)(/.*)?", uri)
        if not match:
            yield where, f"Invalid Cloud Storage URI {uri!r}: it must begin with gs://BUCKET"
            return
        bucket = self.bucket(match[1])
        if bucket is None:
            yield where, f"Bucket {match[1]!r} does not exist"
        elif bucket["locationType"] != "region":
            kind = bucket["locationType"]
            yield where, f"Bucket {match[1]!r} is {kind}; a bucket for training must be regional"

    def reservation_problems(self, machine: Json) -> Problems:
        """Yield the problems of a machine's reservation."""
        where, affinity = (
            "machine_spec.reservation_affinity",
            machine.get("reservationAffinity", {}),
        )
        key, values = affinity.get("key", ""), affinity.get("values", [])
        if affinity.get("reservationAffinityType") != "SPECIFIC_RESERVATION":
            if key or values:
                yield where, "key and values are only for SPECIFIC_RESERVATION"
            return
        if key != RESERVATION_KEY:
            yield where, f"The key of a specific reservation must be {RESERVATION_KEY!r}"
        matches = [RESERVATION.fullmatch(value) for value in values]
        if not values or not all(match and match[1] == self.region for match in matches):
            yield where, f"Values must be projects/P/zones/Z/reservations/R with Z in {self.region}"

    def argument_problems(self, spec: Json) -> Problems:
        """Yield a problem if the arguments of all pools are too long in total."""
        total = 0
        for pool in spec.get("workerPoolSpecs", []):
            started = pool.get("containerSpec") or pool.get("pythonPackageSpec") or {}
            total += sum(map(len, started.get("args", [])))
        most = self.catalog["limits"]["arguments_characters"]
        if total > most:
            yield "job_spec.worker_pool_specs", f"Arguments have {total} characters, most is {most}"


def invalid_argument(problems: list[Problem]) -> ApiError:
    """Return the error that lists the fields with problems."""
    violations = [{"field": field, "description": text} for field, text in problems]
    message = "; ".join(f"{text} (field {field})" for field, text in problems)
    details: list[Json] = [{"@type": BAD_REQUEST, "fieldViolations": violations}]
    return ApiError(400, message, details)


def parsed(body: Json, kind: str = "CustomJob") -> Json:
    """Return a body as the SDK's type of that name has it, enums by name; raise ApiError for unknown fields."""
    json_format = importlib.import_module("google.protobuf.json_format")
    sdk_type = getattr(importlib.import_module("google.cloud.aiplatform_v1.types"), kind)
    try:
        message = json_format.ParseDict(body, sdk_type.pb(sdk_type()))
    except json_format.ParseError as error:
        raise invalid_argument([("body", f"Invalid JSON payload received. {error}")]) from error
    content: Json = json_format.MessageToDict(message)
    return content


def name_problems(job: Json, limits: Json) -> Problems:
    name = job.get("displayName", "")
    if not 1 <= len(name) <= 128:
        yield "display_name", "The display name must have 1 to 128 characters"
    labels = job.get("labels", {})
    if len(labels) > MOST_LABELS:
        yield "labels", f"No more than {MOST_LABELS} labels are allowed"
    for key, value in labels.items():
        good = key and all(
            LABEL.fullmatch(text)
            and text == text.lower()
            and len(text) <= limits["label_characters"]
            for text in (key, value)
        )
        if not good:
            yield "labels", f"Invalid label {key!r}: {value!r}"


def pool_count_problems(pools: list[Json]) -> Problems:
    where = "job_spec.worker_pool_specs"
    if not 1 <= len(pools) <= MOST_POOLS:
        yield where, f"Between 1 and {MOST_POOLS} worker pools are required"
    for number, pool in enumerate(pools):
        replicas = int(pool.get("replicaCount", 0))
        if number == 0 and replicas != 1:
            yield f"{where}[0].replica_count", "The first worker pool must have exactly 1 replica"
        elif pool and replicas < 1:
            yield f"{where}[{number}].replica_count", "The replica count must be at least 1"
    if any(map(tpu_machine, pools)) and (len(pools) != 1 or pools[0].get("replicaCount") != "1"):
        yield where, "A TPU job must have one worker pool with one replica"


def tpu_machine(pool: Json) -> bool:
    return bool(tpu_chips(pool.get("machineSpec", {}).get("machineType", "")))


def disk_problems(disk: Json) -> Problems:
    if disk.get("bootDiskType", "pd-ssd") not in DISK_TYPES:
        yield "disk_spec.boot_disk_type", f"Boot disk type must be one of {', '.join(DISK_TYPES)}"
    if disk.get("bootDiskSizeGb", 0) and not 100 <= disk["bootDiskSizeGb"] <= 64000:
        yield "disk_spec.boot_disk_size_gb", "Boot disk size must be between 100 and 64000 GB"


def scheduling_problems(spec: Json, catalog: Json) -> Problems:
    where, asked = "job_spec.scheduling", spec.get("scheduling", {})
    strategy = asked.get("strategy", "STANDARD")
    timeout = seconds(asked.get("timeout"))
    if timeout is not None and timeout <= 0:
        yield f"{where}.timeout", "The timeout must be positive"
    if strategy == "FLEX_START":
        yield from flex_start_problems(spec, timeout, catalog)
    elif "maxWaitDuration" in asked:
        yield f"{where}.max_wait_duration", "max_wait_duration is only for FLEX_START"
    machines = [pool.get("machineSpec", {}) for pool in spec.get("workerPoolSpecs", [])]
    if strategy == "SPOT" and any(map(is_tpu_pod, machines)):
        yield f"{where}.strategy", "SPOT is not supported for TPU Pods"
    if spec.get("persistentResourceId") and any(map(reserved, machines)):
        yield "job_spec.persistent_resource_id", "A reservation does not go with it"


def flex_start_problems(spec: Json, timeout: float | None, catalog: Json) -> Problems:
    """Yield the problems of a job that waits for the Dynamic Workload Scheduler."""
    where = "job_spec.scheduling"
    if timeout is not None and timeout > catalog["limits"]["timeout_seconds"]:
        yield f"{where}.timeout", "The timeout of FLEX_START is at most 7 days"
    pools = [pool for pool in spec.get("workerPoolSpecs", []) if pool]
    machines = [pool.get("machineSpec", {}) for pool in pools]
    if not all(m.get("acceleratorType") in catalog["flex_start_accelerators"] for m in machines):
        yield f"{where}.strategy", "FLEX_START is only for jobs with L4, A100, H100, H200 or B200"
    if any(machine != machines[0] for machine in machines):
        yield f"{where}.strategy", "FLEX_START requires the same machines in every worker pool"
    if any(map(reserved, machines)):
        yield f"{where}.strategy", "FLEX_START does not go with a reservation"


def reserved(machine: Json) -> bool:
    """Return whether a machine may come from a reservation."""
    affinity = machine.get("reservationAffinity", {})
    kind = affinity.get("reservationAffinityType", "TYPE_UNSPECIFIED")
    return kind not in ("TYPE_UNSPECIFIED", "NO_RESERVATION")


def is_tpu_pod(machine: Json) -> bool:
    """Return whether a machine is a TPU slice with several hosts."""
    chips = 1
    for length in re.findall(r"\d+", machine.get("tpuTopology", "")):
        chips *= int(length)
    return 0 < tpu_chips(machine.get("machineType", "")) < chips


def seconds(duration: str | None) -> float | None:
    """Return a duration such as "3600s" in seconds."""
    return None if duration is None else float(duration.removesuffix("s"))
