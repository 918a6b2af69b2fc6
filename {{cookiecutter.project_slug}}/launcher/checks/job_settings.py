"""Names, limits, durations, paths and the runtime of a job, checked against Google's rules. Pure, but for a look at paths.

Sources: the entries of `sources` in google_cloud.json.
"""

import datetime
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from launcher.console import UserError, nearest, shown
from launcher.spec.catalog import google_cloud, kind_of
from launcher.spec.custom_job import RUN_LABEL, runtime_kind
from launcher.spec.job_file import Job, argument_flags, duration_seconds

PROJECT_ID = re.compile(r"([a-z0-9][a-z0-9.-]*[.][a-z]{2,}:)?[a-z][a-z0-9-]{4,28}[a-z0-9]")
PLACEHOLDER_PROJECT = "your-project-id"
SERVICE_ACCOUNT = re.compile(r"[a-z0-9-]+@[a-z0-9.-]+\.gserviceaccount\.com")
LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]*")
LABEL_VALUE = re.compile(r"[a-z0-9_-]*")
JOB_NAME = re.compile(r"[a-z][a-z0-9_-]*")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
IMAGE = re.compile(r"[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)+([:@][A-Za-z0-9._:-]+)?")
CPU_IMAGE = re.compile(r"(docker\.io/)?tensorflow/tensorflow:[0-9.]+")
RESERVATION = re.compile(r"projects/[^/]+/zones/[^/]+/reservations/[^/]+")
LOCAL_PATH = re.compile(r"(/|~|\.{1,2}[\\/]|file:|[A-Za-z]:[\\/]|\\\\|\$\{?(HOME|PWD|USER)\b).*")
NAMES_A_PATH = re.compile(r".*(file|dir|path|folder|data|table|csv).*", re.IGNORECASE)
CLOUD_PATH = re.compile(r"(gs://|/gcs/|/dev/).*")
RUNTIMES = ("auto", "stock", "image", "executor")


def job_findings(
    job: Job, arguments: Sequence[str], folder: Path, today: datetime.date
) -> list[UserError]:
    """Return what is wrong with job.toml and the extra `arguments`; relative paths start at `folder`."""
    findings = [
        *name_findings(job),
        bucket_finding(job.cloud.bucket),
        *label_findings(job.labels),
        *limit_findings(job, arguments),
        duration_finding("timeout", job.scheduling.timeout),
        duration_finding("max_wait", job.scheduling.max_wait),
        reservation_finding(job.scheduling.reservation),
        runtime_finding(job, today),
        *path_findings(job, arguments, folder),
    ]
    return [finding for finding in findings if finding]


def ready_findings(job: Job) -> list[UserError]:
    """Return what has to be filled in before a job can be sent."""
    if job.cloud.project != PLACEHOLDER_PROJECT:
        return []
    return [
        UserError(
            f"job.toml [job] project is {shown(job.cloud.project)}, a placeholder",
            "the id of your Google Cloud project",
            "copy it from `gcloud projects list`; the bucket's name may hold the placeholder too",
        )
    ]


def name_findings(job: Job) -> list[UserError | None]:
    cloud = job.cloud
    findings: list[UserError | None] = []
    if not PROJECT_ID.fullmatch(cloud.project):
        expected = "6 to 30 lower-case letters, digits or hyphens, a letter first, no hyphen last"
        findings.append(
            wrong(
                "[job] project", cloud.project, expected, "copy the id from `gcloud projects list`"
            )
        )
    longest = google_cloud()["limits"]["display_name_characters"]
    if not JOB_NAME.fullmatch(cloud.name) or len(cloud.name) > longest:
        expected = f"at most {longest} lower-case letters, digits, - and _, a letter first"
        findings.append(wrong("[job] name", cloud.name, expected, "rename it"))
    if cloud.service_account and not SERVICE_ACCOUNT.fullmatch(cloud.service_account):
        expected = "NAME@PROJECT.iam.gserviceaccount.com"
        findings.append(
            wrong("[job] service_account", cloud.service_account, expected, "write its address")
        )
    return findings


def wrong(key: str, value: object, expected: str, remedy: str) -> UserError:
    return UserError(f"job.toml {key} is {shown(value)}", expected, remedy)


def bucket_finding(name: str) -> UserError | None:
    """Return what is wrong with the name of a bucket.

    Source: https://cloud.google.com/storage/docs/buckets
    """
    rules = google_cloud()["bucket_names"]
    problem = bucket_problem(name, rules)
    return wrong("[job] bucket", name, problem, "choose another name") if problem else None


def bucket_problem(name: str, rules: Mapping[str, Any]) -> str:
    """Return what was expected of a bucket's name, "" if it is right."""
    longest = rules["maximum_length_with_dots" if "." in name else "maximum_length"]
    if name.lower().startswith("gs://"):
        return "the bucket's name alone, without gs://"
    if not rules["minimum_length"] <= len(name) <= longest:
        return f"{rules['minimum_length']} to {longest} characters"
    if not re.fullmatch(rules["pattern"], name):
        return "lower-case letters, digits, - _ and ., a letter or digit at both ends"
    if re.fullmatch(rules["ip_address_pattern"], name):
        return "a name that does not look like an IP address"
    if any(len(part) > rules["maximum_component_length"] for part in name.split(".")):
        return f"at most {rules['maximum_component_length']} characters between dots"
    if any(sequence in name for sequence in rules["forbidden_sequences"]):
        return "no dot beside a dot or a hyphen"
    if any(name.startswith(prefix) for prefix in rules["forbidden_prefixes"]):
        return f"a name that does not start with {rules['forbidden_prefixes'][0]}"
    return (
        "a name without the word google"
        if any(word in name for word in rules["forbidden_words"])
        else ""
    )


def label_findings(labels: Mapping[str, str]) -> list[UserError | None]:
    """Return what is wrong with the labels.

    Source: https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.customJobs
    """
    longest = google_cloud()["limits"]["label_characters"]
    expected = f"at most {longest} lower-case letters, digits, - and _, a letter first in the key"
    expected += f", which is not {RUN_LABEL}: the launcher sets that"
    return [
        UserError(f"job.toml [labels] {shown(key)} = {shown(value)}", expected, "rewrite it")
        for key, value in labels.items()
        if not (LABEL_KEY.fullmatch(key) and LABEL_VALUE.fullmatch(value))
        or max(len(key), len(value)) > longest
        or key == RUN_LABEL
    ]


def limit_findings(job: Job, arguments: Sequence[str]) -> list[UserError | None]:
    limits = google_cloud()["limits"]
    findings: list[UserError | None] = []
    characters = sum(map(len, [*argument_flags(job.arguments), *arguments]))
    if characters > limits["arguments_characters"]:
        most = f"at most {limits['arguments_characters']:,}"
        findings.append(
            UserError(
                f"the arguments have {characters:,} characters",
                most,
                "put them into a file that travels with the package",
            )
        )
    # One entry is the launcher's own: the revision.
    if len(job.environment) + 1 > limits["environment_entries"]:
        most = f"at most {limits['environment_entries'] - 1}"
        findings.append(
            UserError(
                f"job.toml [environment] has {len(job.environment)} entries", most, "remove some"
            )
        )
    findings += [
        UserError(
            f"job.toml [environment] {shown(name)} is not a valid variable name",
            "letters, digits and _, no digit first",
            "rename it",
        )
        for name in job.environment
        if not VARIABLE.fullmatch(name)
    ]
    return findings


def duration_finding(key: str, text: str) -> UserError | None:
    longest = google_cloud()["limits"]["timeout_seconds"]
    try:
        if 0 < duration_seconds(text) <= longest:
            return None
    except ValueError:
        pass
    expected = f"an integer with s, m, h or d, more than 0 and at most {longest // 86_400}d"
    return wrong(f"[scheduling] {key}", text, expected, f'write {key} = "12h", for example')


def reservation_finding(reservation: str) -> UserError | None:
    if not reservation or RESERVATION.fullmatch(reservation):
        return None
    expected = "projects/PROJECT/zones/ZONE/reservations/NAME"
    return wrong("[scheduling] reservation", reservation, expected, "write its full name")


def runtime_finding(job: Job, today: datetime.date) -> UserError | None:
    kind, image = job.runtime.kind, job.runtime.image
    if kind not in RUNTIMES:
        guess = nearest(kind, RUNTIMES) or "auto"
        return wrong("[runtime] kind", kind, f"one of {', '.join(RUNTIMES)}", f"write {guess}")
    try:
        kind, machines = runtime_kind(job), kind_of(job.tier())
    except UserError:
        return None
    if kind == "executor":
        return executor_finding(image, today)
    if kind == "stock" and machines == "tpu":
        expected = "an image of your own, which a TPU needs"
        return wrong("[runtime] kind", "stock", expected, 'write "image"')
    if image and not IMAGE.fullmatch(image):
        return wrong(
            "[runtime] image",
            image,
            "an address such as REGION-docker.pkg.dev/PROJECT/REPOSITORY/NAME:TAG",
            "correct it",
        )
    if machines == "gpu" and CPU_IMAGE.fullmatch(image):
        expected = f"an image that can use the GPUs of {job.cloud.scale_tier}"
        return wrong("[runtime] image", image, expected, f"write {image}-gpu")
    return None


def executor_finding(image: str, today: datetime.date) -> UserError | None:
    """Return what is wrong with an image that is to run a Python package.

    Source: https://cloud.google.com/vertex-ai/docs/training/pre-built-containers
    """
    listed = google_cloud()["executor_images"]
    name = image.rpartition("/")[2].partition(":")[0]
    if name not in listed or not re.match(
        r"(us|europe|asia)-docker\.pkg\.dev/vertex-ai/training/", image
    ):
        expected = "an image of Google's list, such as us-docker.pkg.dev/vertex-ai/training/tf-cpu.2-17.py310:latest"
        return wrong("[runtime] image", image, expected, 'write one of them, or kind = "stock"')
    ended = listed[name]["ended"]
    if today <= datetime.date.fromisoformat(ended):
        return None
    return UserError(
        f"job.toml [runtime] image: {name} is past its end of availability ({ended})",
        "an image that is still offered; every TensorFlow image of the list has ended",
        'write kind = "stock", which needs no image of your own',
    )


def path_findings(job: Job, arguments: Sequence[str], folder: Path) -> list[UserError | None]:
    named = {f"job.toml [arguments] {name}": value for name, value in job.arguments.items()}
    named |= {f"job.toml [environment] {name}": value for name, value in job.environment.items()}
    named |= {
        f"the argument {shown(each)}": each.partition("=")[2] if each[:1] == "-" else each
        for each in arguments
    }
    return [
        UserError(
            f"{where} names a path on this machine ({shown(value)})",
            "a gs:// address, which a cloud job can read",
            "copy the file to the bucket and write its gs:// address",
        )
        for where, value in named.items()
        if isinstance(value, str) and is_local(value, folder, where)
    ]


def is_local(value: str, folder: Path, where: str = "") -> bool:
    """Return whether a text is a path that exists on this machine only."""
    if not value or CLOUD_PATH.fullmatch(value):
        return False
    looks_like_it = NAMES_A_PATH.fullmatch(where) or any(mark in value for mark in "/\\.")
    try:
        # Every machine has a /tmp, so a path there that does not exist yet is no mistake.
        if value.startswith("/tmp/") or not LOCAL_PATH.fullmatch(value):
            return bool(looks_like_it and (folder / value).exists())
    except (OSError, ValueError):
        return False
    return True
