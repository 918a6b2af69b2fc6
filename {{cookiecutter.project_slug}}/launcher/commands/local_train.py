"""`nox -s local_train`: the job on this machine."""

import contextlib
import dataclasses
import os
import re
import shlex
from pathlib import Path

from launcher import runs
from launcher.commands.prepare import run_prepare
from launcher.commands.session import Session
from launcher.console import Console, UserError
from launcher.contract import MOUNT, MOUNT_VARIABLE
from launcher.executors.local.cluster import replicas_of, shrunk
from launcher.executors.local.executor import mounted, run_custom_job, waiting_replica
from launcher.packaging.environment import install, newest, python_of
from launcher.packaging.sdist import python_files, stored
from launcher.project import Project, fingerprint_of
from launcher.runs import RunRecord, new_folder, run_folder, stopped_run
from launcher.spec.custom_job import Run, custom_job_of, data_uri
from launcher.spec.job_file import read_job
from launcher.spec.tuning_job import with_more
from launcher.subprocesses import Process

RUN_NAME = "local"
"""Of each run on this machine: which folder it gets depends on what it runs."""
OWN_VARIABLES = re.compile(rb"[\"'](KERAS_|MKL_|OMP_|XLA_|TF_(?!CONFIG|CPP_MIN_LOG_LEVEL))")
NOT_WITH_LIKE = ("scale_tier", "region", "data_dir", "all_replicas", "trial")


def local_train(session: Session) -> int:
    if like := session.options.like:
        return run_record(session, repeated(session, like))
    with starting(session) as waiting:
        session.check()
        if not session.options.data_dir and (code := run_prepare(session, "--reuse")):
            return code
        return run_record(session, new_record(session), waiting)


def starting(session: Session) -> contextlib.AbstractContextManager[Process | None]:
    """Start the only replica, which loads TensorFlow while its job is checked; None if libraries may have to be imported otherwise."""
    folder, python = session.project.folder, newest(session.project.training)
    own = any(OWN_VARIABLES.search((folder / name).read_bytes()) for name in python_files(folder))
    with contextlib.suppress(UserError, ValueError):  # the check reports it with all others
        custom_job = custom_job_of(session.job, Run(RUN_NAME, "", "", ""))
        if python and len(replicas_of(custom_job)) == 1 and not (own or session.options.preempt):
            return waiting_replica(custom_job, python)
    return contextlib.nullcontext()


def run_record(session: Session, record: RunRecord, waiting: Process | None = None) -> int:
    """Run what a record says in a folder of its own, or resume it; return the exit code."""
    project, options, console = session.project, session.options, session.console
    distribution = stored(record.package, project.packages, console)
    python = install(project.training, distribution, console)
    requirements = project.training.requirements(distribution)
    if waiting and waiting.name != str(python_of(requirements)):
        waiting.kill_session()  # what it has loaded is no longer required
        waiting = None
    versions = runs.versions_of(requirements)
    if changed := runs.changed_versions(record.versions, versions):
        console.warning(f"{options.like} ran with {changed}, so the metrics may differ")
    job_dir = job_folder(project, options.job_dir, record, console)
    runs.write(record, job_dir, versions)
    output = record.custom_job["jobSpec"]["baseOutputDirectory"]["outputUriPrefix"]
    links = {record.flags["data-dir"]: Path(record.data_folder), output: job_dir}
    with mounted(links) as mount:
        code = run_custom_job(record.custom_job, python, mount, console, options.preempt, waiting)
    if options.job_dir and not code:
        model = shlex.quote(project.shown_path(job_dir / "model"))
        console.step("predict", f"nox -s predict -- --model {model} (else: the newest run)")
    return code


def new_record(session: Session) -> RunRecord:
    """Return what the job of job.toml runs here."""
    project, job, options = session.project, session.job, session.options
    data_folder = on_this_machine(options.data_dir or job.data.prepared, project)
    run = session.run_named(RUN_NAME, *session.verbosity)
    if options.data_dir:
        run = dataclasses.replace(run, data_uri=data_uri(job, "given"))
    custom_job = custom_job_of(job, run)
    if not options.all_replicas:
        replicas, custom_job = len(replicas_of(custom_job)), shrunk(custom_job)
        here = len(replicas_of(custom_job))
        fewer = f", {here} of its {replicas} replicas (all: --all-replicas)" * (here < replicas)
        if replicas > 1:
            text = f"{job.cloud.scale_tier}{fewer}; {here} processes share this machine"
            session.console.step("tier", text)
    return RunRecord(
        custom_job,
        session.package.path,
        project.folder / runs.JOB_FILE,
        data_folder,
        fingerprint_of(data_folder),
        runs.uncommitted(project),
        {},
    )


def repeated(session: Session, like: str) -> RunRecord:
    """Return what an earlier run was, with more flags behind its own; raise `UserError` if that cannot run again."""
    project = session.project
    session.refuse_beside("like", NOT_WITH_LIKE, "the code, settings and data of that run")
    earlier = Path(on_this_machine(run_folder(like, "runs"), project))
    record, name = runs.read(earlier), project.shown_path(earlier)
    if record is None:
        raise UserError(
            f"{name} does not record what it was",
            "the number or folder of a run of this version",
            "correct --like",
        )
    prepared = project.absolute(read_job(record.job_file).data.prepared)
    data_folder = runs.data_folder_of(record, name, prepared)
    session.console.step("like", f"{name}, its package, settings and data")
    job = with_more(record.custom_job, [*session.arguments, *session.verbosity], {})
    return dataclasses.replace(record, custom_job=job, data_folder=data_folder)


def job_folder(project: Project, named: str | None, record: RunRecord, console: Console) -> Path:
    """Return the folder that the run writes to: the named one, that of an equal run to resume, or a new one."""
    earlier = Path(on_this_machine(named, project)) if named else stopped_run(project.runs)
    changed = ", ".join(runs.differences(record, earlier)) if earlier else ""
    if earlier and named and any(earlier.glob("*.py")):
        what = f"{project.shown_path(earlier)} holds code"
        raise UserError(what, "an empty folder, or that of a run", "name another --job-dir")
    if changed and named:
        raise UserError(
            f"{project.shown_path(earlier or named)} holds another run: {changed}",
            "a run with the same code, settings and data, which resumes, or an empty folder",
            "name another --job-dir; nothing was changed",
        )
    try:
        folder = earlier if earlier and not changed else new_folder(project.runs)
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"the job folder {error.filename} cannot be made ({error.strerror})",
            "a folder that this process may write",
            "name another --job-dir",
        ) from error
    text = project.shown_path(folder)
    if changed and earlier:
        text = f"{project.shown_path(earlier)} was stopped, but {changed}: this is {text}"
    elif any(folder.glob("checkpoints/*")):
        text += ", resuming (a new run: --job-dir DIR)"
    console.step("train", text)
    return folder


def on_this_machine(path: str, project: Project) -> str:
    """Return a path that holds from any folder; gs://bucket/x lies below the mount of Cloud Storage."""
    if path.startswith("gs://"):
        return f"{os.environ.get(MOUNT_VARIABLE, MOUNT)}/{path.removeprefix('gs://')}"
    return project.absolute(path)
