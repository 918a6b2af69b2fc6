"""`nox -s local_train`: the job on this machine."""

import os
from pathlib import Path

from launcher.commands.options import LocalTrainOptions
from launcher.commands.prepare import run_prepare
from launcher.commands.session import Session
from launcher.console import Console, UserError
from launcher.contract import MOUNT, MOUNT_VARIABLE
from launcher.executors.local.cluster import replicas_of, shrunk
from launcher.executors.local.executor import run_custom_job
from launcher.executors.local.mount import mounted
from launcher.packaging.environment import install
from launcher.project import Project, run_of
from launcher.run_folders import choose_job_dir
from launcher.spec.custom_job import custom_job_of, data_uri, output_uri


def local_train(
    project: Project, options: LocalTrainOptions, rest: list[str], console: Console
) -> int:
    job = options.job(project)
    distribution = Session(project, job, rest, console).build()
    data_dir = Path(on_this_machine(options.data_dir or job.data.prepared, project))
    if not options.data_dir:
        code = run_prepare(
            project, job.data, distribution, ["--reuse", *options.verbosity], console
        )
        if code:
            return code
    job_dir = job_folder(project, options.job_dir, console)
    arguments = [*rest, *options.verbosity]
    prepared_uri = data_uri(job, "given") if options.data_dir else ""
    run = run_of(project, job, distribution, job_dir.name, arguments, prepared_uri)
    custom_job = custom_job_of(job, run)
    if not options.all_replicas:
        replicas, custom_job = len(replicas_of(custom_job)), shrunk(custom_job)
        report_replicas(job.cloud.scale_tier, replicas, len(replicas_of(custom_job)), console)
    python = install(project.training, distribution, console)
    with mounted({run.data_uri: data_dir, output_uri(job, run.name): job_dir}) as mount:
        return run_custom_job(custom_job, python, mount, console, options.preempt)


def job_folder(project: Project, named: str | None, console: Console) -> Path:
    """Return the folder that the run writes to: the named one, that of a run to resume, or a new one."""
    if named:
        folder, note = Path(on_this_machine(named, project)), ""
    else:
        folder, resumed = choose_job_dir(project.runs)
        note = ", resuming (a new run: --job-dir DIR)" if resumed else ""
    console.step("train", f"{project.shown_path(folder)}{note}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"the job folder {folder} cannot be made ({error.strerror})",
            "a folder that this process may write",
            "name another --job-dir",
        ) from error
    return folder


def on_this_machine(path: str, project: Project) -> str:
    """Return a path that holds from any folder; gs://bucket/x lies below the mount of Cloud Storage."""
    if path.startswith("gs://"):
        return f"{os.environ.get(MOUNT_VARIABLE, MOUNT)}/{path.removeprefix('gs://')}"
    return project.absolute(path)


def report_replicas(tier: str, replicas: int, here: int, console: Console) -> None:
    if replicas > 1:
        fewer = f", {here} of its {replicas} replicas (all: --all-replicas)"
        share = f"; {here} processes share this machine"
        console.step("tier", f"{tier}{fewer if here < replicas else ''}{share}")
