"""Names, limits, durations, paths and the runtime of a job, checked against Google's rules. Pure, but for a look at paths.

Sources: the entries of `sources` in google_cloud.json.
"""

import contextlib
import datetime
import fnmatch
import glob
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from launcher.checks.problem import values_of, wrong
from launcher.checks.source import PATHS
from launcher.console import UserError, nearest, shown
from launcher.contract import REVISION_VARIABLE
from launcher.project import Project
from launcher.spec.catalog import google_cloud, kind_of
from launcher.spec.custom_job import RUN_LABEL
from launcher.spec.job_file import Data, Job, argument_flags, duration_seconds

PLACEHOLDER_PROJECT = "your-project-id"
CPU_IMAGE = re.compile(r"(docker\.io/)?tensorflow/tensorflow:[0-9.]+")
RUNTIMES = ("auto", "stock", "image", "executor")


def job_findings(
    job: Job, arguments: Sequence[str], folder: Path, today: datetime.date
) -> list[UserError]:
    """Return what is wrong with job.toml and the extra `arguments`; relative paths start at `folder`."""
    return [
        *name_findings(job),
        *bucket_findings(job.cloud.bucket),
        *label_findings(job.labels),
        *limit_findings(job, arguments),
        *duration_findings("timeout", job.scheduling.timeout),
        *duration_findings("max_wait", job.scheduling.max_wait),
        *runtime_findings(job, today),
        *path_findings(job, arguments, folder),
        *address_findings(job.data),
    ]


def ready_findings(job: Job) -> list[UserError]:
    """Return what has to be filled in before a job can be sent."""
    what = f"job.toml [job] project is {shown(PLACEHOLDER_PROJECT)}, a placeholder"
    fix = "copy it from `gcloud projects list`; the bucket's name may hold the placeholder too"
    unready = UserError(what, "the id of your Google Cloud project", fix)
    return [unready] if job.cloud.project == PLACEHOLDER_PROJECT else []


def fits(name: str, text: str) -> re.Match[str] | None:
    """Return how a text fits one of the patterns of the catalog."""
    return re.fullmatch(google_cloud()["patterns"][name], text)


def misnamed(key: str, value: str, near: str = "") -> Iterator[UserError]:
    """Yield a finding for a name that does not follow the catalog's rule for its key; `near` may follow it."""
    rule = google_cloud()["names"][key]
    if not re.fullmatch(rule["pattern"], value):
        fits_better = near and re.fullmatch(rule["pattern"], near)
        fix = f'write {key.partition(" ")[2]} = "{near}"' if fits_better else rule["remedy"]
        yield wrong(key, value, rule["expected"], fix)


def name_findings(job: Job) -> Iterator[UserError]:
    cloud = job.cloud
    yield from misnamed("[job] project", cloud.project, cloud.project.rpartition("/")[2].lower())
    yield from misnamed("[job] name", cloud.name, spelt(cloud.name).lstrip("0123456789-_"))
    yield from misnamed("[job] service_account", cloud.service_account)
    yield from misnamed("[scheduling] reservation", job.scheduling.reservation)


def spelt(text: str) -> str:
    """Return a text in lower-case letters, digits, - and _."""
    return re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-")


def bucket_findings(name: str) -> list[UserError]:
    expected = broken_bucket_rule(name)
    near = name.lower().removeprefix("gs://").partition("/")[0]
    fix = "choose another name" if broken_bucket_rule(near) else f'write bucket = "{near}"'
    return [wrong("[job] bucket", name, expected, fix)] if expected else []


def broken_bucket_rule(name: str) -> str:
    """Return the first rule for names of buckets that a name breaks, "" without one."""
    rules = google_cloud()["bucket_names"]
    return next((str(each["rule"]) for each in rules if re.search(each["invalid"], name)), "")


def label_findings(labels: Mapping[str, str]) -> Iterator[UserError]:
    longest = google_cloud()["limits"]["label_characters"]
    expected = f"at most {longest} lower-case letters, digits, - and _, a letter first in the key"
    expected += f", which is not {RUN_LABEL}: the launcher sets that"
    for key, value in labels.items():
        if not is_label(key, value, longest):
            near = spelt(key), spelt(value)
            fix = f'write {near[0]} = "{near[1]}"' if is_label(*near, longest) else "rewrite it"
            what = f"job.toml [labels] {shown(key)} = {shown(value)}"
            yield UserError(what, expected, fix)


def is_label(key: str, value: str, longest: int) -> bool:
    short = max(len(key), len(value)) <= longest
    return short and key != RUN_LABEL and bool(fits("label", f"{key}={value}"))


def limit_findings(job: Job, arguments: Sequence[str]) -> Iterator[UserError]:
    limits, names = google_cloud()["limits"], job.environment
    count = sum(map(len, [*argument_flags(job.arguments), *arguments]))
    if count > (most := limits["arguments_characters"]):
        fix = "put them into a file that travels with the package"
        yield UserError(f"the arguments have {count:,} characters", f"at most {most:,}", fix)
    # One entry is the launcher's own: the revision.
    if len(names) > (most := limits["environment_entries"] - 1):
        what = f"job.toml [environment] has {len(names)} entries"
        yield UserError(what, f"at most {most}", "remove some")
    reserved = [*google_cloud()["reserved_variables"], REVISION_VARIABLE]
    for name in names:
        where = f"job.toml [environment] {shown(name)}"
        if not fits("variable", name):
            expected = "letters, digits and _, no digit first"
            near = re.sub(r"^[0-9]+|[^A-Za-z0-9_]", "_", name)
            yield UserError(f"{where} is not a valid variable name", expected, f"write {near}")
        elif any(fnmatch.fnmatchcase(name.upper(), pattern) for pattern in reserved):
            what = f"{where} is a variable that the job's machines set themselves"
            yield UserError(what, f"none of {', '.join(reserved)}", "remove or rename it")


def duration_findings(key: str, text: str) -> Iterator[UserError]:
    longest = google_cloud()["limits"]["timeout_seconds"]
    with contextlib.suppress(ValueError):
        if 0 < duration_seconds(text) <= longest:
            return
    expected = f"an integer with s, m, h or d, more than 0 and at most {longest // 86_400}d"
    yield wrong(f"[scheduling] {key}", text, expected, f'write {key} = "12h", for example')


def runtime_findings(job: Job, today: datetime.date) -> Iterator[UserError]:
    kind, image = job.runtime.kind, job.runtime.image
    if kind not in RUNTIMES:
        fix = f"write {nearest(kind, RUNTIMES) or 'auto'}"
        yield wrong("[runtime] kind", kind, f"one of {', '.join(RUNTIMES)}", fix)
    with contextlib.suppress(UserError):  # there is no such tier, which is a finding of its own
        machines = kind_of(job.tier())
        if kind == "executor":
            yield from executor_findings(image, today)
        elif kind == "stock" and machines == "tpu":
            expected = "an image of your own, which a TPU needs"
            yield wrong("[runtime] kind", kind, expected, 'write "image"')
        elif image and (misnamed_image := [*misnamed("[runtime] image", image)]):
            yield from misnamed_image
        elif machines == "gpu" and CPU_IMAGE.fullmatch(image):
            expected = f"an image that can use the GPUs of {job.cloud.scale_tier}"
            yield wrong("[runtime] image", image, expected, f"write {image}-gpu")


def executor_findings(image: str, today: datetime.date) -> Iterator[UserError]:
    """Yield why an image cannot be the one that is to run a Python package."""
    match, listed = fits("executor image", image), google_cloud()["executor_images"]
    if not match or match[2] not in listed:
        expected = "an image of Google's list, such as us-docker.pkg.dev/vertex-ai/training/tf-cpu.2-17.py310:latest"
        fix = 'write one of them, or kind = "stock"'
        yield wrong("[runtime] image", image, expected, fix)
    elif today > datetime.date.fromisoformat(ended := listed[match[2]]["ended"]):
        what = f"job.toml [runtime] image: {match[2]} is past its end of availability ({ended})"
        expected = "an image that is still offered; every TensorFlow image of the list has ended"
        yield UserError(what, expected, 'write kind = "stock", which needs no image of your own')


def address_findings(data: Data) -> Iterator[UserError]:
    """Yield the paths of tables and prepared data that nothing here can read or write."""
    for key in ("train", "test", "prepared"):
        value = getattr(data, key)
        scheme, _, rest = value.rpartition("://")
        if scheme and (scheme not in ("gs", "bq") or key == "prepared"):
            here = f"data/{rest.rpartition('/')[2] or 'prepared'}"
            fix = f'write {key} = "{here}"'
            fix = fix if key == "prepared" else f"copy it here, then {fix}"
            expected = "a path on this machine, or the gs:// or bq:// address of a table"
            yield wrong(f"[data] {key}", value, expected, fix)


def table_warnings(data: Data, project: Project) -> Iterator[UserError]:
    """Yield the tables that are not on this machine, which a job with prepared data does not need."""
    for key, value in data.tables.items():
        path = Path(project.table(value))
        if "://" in value or path.exists() or glob.glob(str(path), recursive=True):
            continue
        others = {each.name for each in path.parent.glob("*") if each.is_file()}
        others -= {Path(each).name for each in data.tables.values()}
        guess = nearest(path.name, others)
        fix = f"write {Path(value).with_name(guess).as_posix()}" if guess else "correct the path"
        what = f"job.toml [data] {key} is {shown(value)}, which does not exist"
        yield UserError(what, "a file, a folder or a pattern of files", fix)


def path_findings(job: Job, arguments: Sequence[str], folder: Path) -> Iterator[UserError]:
    for where, name, value in values_of(job, arguments, "arguments", "environment"):
        # A variable may name what is in the image.
        in_image = "[environment]" in where and re.fullmatch(PATHS["image"], str(value))
        if isinstance(value, str) and not in_image and is_local(name, value, folder):
            what = f"{where} names a path on this machine ({shown(value)})"
            fix = "copy the file to the bucket and write its gs:// address"
            yield UserError(what, "a gs:// address, which a cloud job can read", fix)


def is_local(name: str, value: str, folder: Path) -> bool:
    """Return whether a text is a path that exists on this machine only."""
    if not value or re.fullmatch(PATHS["bucket"], value):
        return False
    if re.fullmatch(PATHS["machine"], value) or re.fullmatch(PATHS["table"], f"{name}={value}"):
        return True
    looks_like_it = re.fullmatch(PATHS["name"], name) or any(mark in value for mark in "/\\.")
    with contextlib.suppress(OSError, ValueError):
        found = looks_like_it and (folder / value).exists()
        return bool(found and not re.fullmatch(PATHS["image"], value))
    return False
