"""The bucket: regional, in the job's region, closed to the public.

Training reads from regional buckets only: https://cloud.google.com/vertex-ai/docs/general/locations#buckets
"""

import itertools
from typing import Any

from launcher.console import Console, UserError
from launcher.executors.vertex.services import STORAGE, NotFound, RequestRefused, explained
from launcher.executors.vertex.storage import retrying
from launcher.spec.catalog import google_cloud
from launcher.spec.job_file import Job

CODE_FORBIDDEN = 403
ENFORCED = "enforced"


def create_command(job: Job, name: str) -> str:
    return (
        f"gcloud storage buckets create gs://{name} --project={job.cloud.project}"
        f" --location={job.cloud.region} --uniform-bucket-level-access --public-access-prevention"
    )


def existing(job: Job, client: Any) -> Any:
    """Return the bucket, None if there is none; raise `UserError` if it belongs to others."""
    try:
        with explained(f"the bucket gs://{job.cloud.bucket}", STORAGE):
            return client.get_bucket(job.cloud.bucket, retry=retrying())
    except NotFound:
        return None
    except RequestRefused as refusal:
        if refusal.code == CODE_FORBIDDEN:
            raise of_others(job) from refusal
        raise


def of_others(job: Job) -> UserError:
    what = f"the bucket gs://{job.cloud.bucket} exists, but you may not look at it"
    expected = "a bucket of your own, and the permission storage.buckets.get on it"
    fix = "choose another name for bucket in job.toml, or ask its owner for roles/storage.admin"
    return UserError(what, expected, fix)


def misplaced_finding(job: Job, bucket: Any, fix: str = "") -> UserError | None:
    """Return why the bucket's place is wrong: it spans regions, which training does not take, or is in another one."""
    region, place, choice = job.cloud.region, str(bucket.location), ""
    if bucket.location_type != "region":
        what = f"is a {bucket.location_type} one ({place}), which training does not take"
    elif place.lower() != region:
        what = f"is in {place.lower()} but the job runs in {region}: reading is slow, and every GiB that crosses"
        what += " is paid for (https://cloud.google.com/storage/pricing#network-egress)"
        choice = f'; or region = "{place.lower()}"'
    else:
        return None
    name = f"{job.cloud.bucket}-{region}"
    fix = fix or f'{create_command(job, name)}, then bucket = "{name}" in job.toml{choice}'
    what = f"the bucket gs://{job.cloud.bucket} {what}"
    return UserError(what, f"a regional bucket in {region}", fix)


def bucket_findings(
    job: Job, client: Any, console: Console, elsewhere: bool = True
) -> list[UserError]:
    """Return what keeps the job from using its bucket; warn if it is `elsewhere`, unless a model has to be read from it."""
    try:
        bucket = existing(job, client)
    except UserError as error:
        return [error]
    if bucket is None:
        what = f"the bucket gs://{job.cloud.bucket} does not exist"
        fix = f"nox -s bucket, or: {create_command(job, job.cloud.bucket)}"
        return [UserError(what, f"a regional bucket in {job.cloud.region}", fix)]
    findings, misplaced = permission_findings(job, bucket), misplaced_finding(job, bucket)
    if misplaced and (bucket.location_type != "region" or not elsewhere):
        findings.insert(0, misplaced)
    elif misplaced and not findings:
        console.warning(misplaced)
    return findings


def permission_findings(job: Job, bucket: Any) -> list[UserError]:
    """Return one finding for each thing that the caller may not do.

    What the job's own identity may do cannot be asked from here.
    """
    address, needed = f"gs://{job.cloud.bucket}", google_cloud()["bucket_permissions"]
    wanted = [*itertools.chain(*needed.values())]
    with explained(f"permissions on {address}", STORAGE):
        held = bucket.test_iam_permissions(wanted, retry=retrying())
    # By default a job runs as an agent that may use every bucket of its own project.
    # Source: https://cloud.google.com/vertex-ai/docs/training/code-requirements
    identity = job.cloud.service_account or "the service's own agent"
    role = "roles/storage.objectAdmin"
    expected = f"{role} for you and for {identity}, which cannot be checked from here"
    fix = f"gcloud storage buckets add-iam-policy-binding {address} --member=MEMBER --role={role}"
    found = []
    for doing, permissions in needed.items():
        if lacking := ", ".join(each for each in permissions if each not in held):
            what = f"the bucket {address} cannot be {doing} from here: no {lacking}"
            found.append(UserError(what, expected, fix))
    return found
