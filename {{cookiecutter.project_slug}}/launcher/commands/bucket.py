"""`nox -s bucket`: create the bucket, or report where it is and whether it is open to the public."""

from typing import Any

from launcher.checks.bucket import ENFORCED, create_command, existing, misplaced_finding, of_others
from launcher.checks.machines import region_finding
from launcher.commands.session import Session
from launcher.executors.vertex.services import STORAGE, AlreadyExists, explained
from launcher.executors.vertex.storage import retrying, storage_client
from launcher.spec.job_file import Job


def bucket(session: Session) -> int:
    job, console = session.job, session.console
    if finding := region_finding(job.cloud.region):
        raise finding
    if session.options.dry_run:
        print(create_command(job, job.cloud.bucket))
        return 0
    session.require_ready()
    client = storage_client(job.cloud.project)
    cloud_bucket, state = existing(job, client), "exists,"
    if cloud_bucket is None:
        cloud_bucket, state = created(job, client), "created"
    if misplaced := misplaced_finding(job, cloud_bucket):
        raise misplaced
    console.step("bucket", f"gs://{job.cloud.bucket} {state} in {job.cloud.region}")
    access = cloud_bucket.iam_configuration
    uniform = access.uniform_bucket_level_access_enabled
    if not uniform or access.public_access_prevention != ENFORCED:
        flags = "--uniform-bucket-level-access --public-access-prevention"
        command = f"gcloud storage buckets update gs://{job.cloud.bucket} {flags}"
        console.warning(f"single objects of it may be made public; to prevent it: {command}")
    return 0


def created(job: Job, client: Any) -> Any:
    wanted = client.bucket(job.cloud.bucket)
    wanted.iam_configuration.uniform_bucket_level_access_enabled = True
    wanted.iam_configuration.public_access_prevention = ENFORCED
    try:
        with explained(f"the bucket gs://{job.cloud.bucket} is not created", STORAGE):
            return client.create_bucket(wanted, location=job.cloud.region, retry=retrying())
    except AlreadyExists as refusal:
        # So does a repeated request fail whose first response was lost.
        if found := existing(job, client):
            return found
        raise of_others(job) from refusal
