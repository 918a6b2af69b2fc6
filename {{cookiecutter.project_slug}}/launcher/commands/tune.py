"""`nox -s tune`: a study of the job, on this machine or as a HyperparameterTuningJob."""

import dataclasses
import functools
import hashlib
import itertools
import json
from pathlib import Path
from typing import Any

from launcher.checks.findings import require_sound
from launcher.checks.study import tier_findings
from launcher.commands.cloud_jobs import CloudJobOptions, list_or_cancel
from launcher.commands.options import BUCKET, DRY_RUN, REGION, SCALE_TIER, Command, flag, option
from launcher.commands.prepare import run_prepare
from launcher.commands.submit import deliver
from launcher.console import Console, Refused, UserError
from launcher.contract import EXIT_FAILED, TASK_MODULE
from launcher.executors.local.cluster import shrunk
from launcher.executors.local.mount import mounted
from launcher.executors.vertex import follow
from launcher.executors.vertex.follow import SUCCEEDED, Follower
from launcher.executors.vertex.jobs import CloudJob
from launcher.executors.vertex.submissions import new_run_name
from launcher.executors.vertex.tuning_jobs import TrialLog, TuningService, outcomes_of
from launcher.files import locked
from launcher.packaging.sdist import SourceDistribution
from launcher.project import Project, build, job_of, run_of
from launcher.run_folders import new_study, next_study
from launcher.spec.custom_job import Run, custom_job_of, output_uri
from launcher.spec.job_file import Job
from launcher.spec.study import Study
from launcher.spec.tuning_job import tuning_job
from launcher.tuning import optuna_sampler, report, search, trials


@dataclasses.dataclass(frozen=True)
class TuneOptions(CloudJobOptions):
    local: bool = flag("run the study on this machine")
    scale_tier: str | None = option(SCALE_TIER)
    region: str | None = option(REGION)
    bucket: str | None = option(BUCKET)
    trials: int | None = option("how many trials, instead of job.toml's", type=int)
    parallel: int | None = option("how many trials in parallel, instead of job.toml's", type=int)
    dry_run: bool = flag(DRY_RUN)


def tune(project: Project, options: TuneOptions, rest: list[str], console: Console) -> int:
    job = job_of(
        project, scale_tier=options.scale_tier, region=options.region, bucket=options.bucket
    )
    study = study_of(job, options)
    if findings := tier_findings(job):
        raise Refused(findings)
    if options.dry_run:
        return show(project, job, study, rest, console)
    if options.local:
        check_local(options)
        return tune_here(project, job, study, options, rest, console)
    return tune_in_the_cloud(project, job, study, options, rest, console)


def study_of(job: Job, options: TuneOptions) -> Study:
    """Return the study of job.toml, with the values of the command line; raise `UserError` if there is none.

    The service refuses more parallel trials than there are trials.
    """
    if job.study is None:
        raise UserError(
            "job.toml has no section [study]",
            "one with metric, goal, trials, and a table for each parameter",
            "add it as the section Tuning of README.md shows",
        )
    for name, value in (("trials", options.trials), ("parallel", options.parallel)):
        if value is not None and value < 1:
            raise UserError(f"--{name} is {value}", "at least 1", "correct it")
    written = job.study.options
    trial_count = options.trials or written.trials
    parallel = min(options.parallel or written.parallel_trials, trial_count)
    changed = dataclasses.replace(written, trials=trial_count, parallel_trials=parallel)
    return dataclasses.replace(job.study, options=changed)


def check_local(options: TuneOptions) -> None:
    about_cloud = {
        "--wait": options.wait,
        "--again": options.again,
        "--list": options.list,
        "--cancel": options.cancel is not None,
    }
    asked = [name for name, value in about_cloud.items() if value]
    if asked:
        raise UserError(
            f"{asked[0]} beside --local",
            "--local by itself: a local study is followed to its end, and the same command resumes it",
            f"leave out --local, or {asked[0]}",
        )


def show(project: Project, job: Job, study: Study, arguments: list[str], console: Console) -> int:
    distribution = build(project, console)
    require_sound(project, job, distribution, arguments, console)
    run = run_of(project, job, distribution, new_run_name(), arguments)
    print(json.dumps(tuning_job(job, run, study), indent=2))
    return 0


def tune_here(
    project: Project,
    job: Job,
    study: Study,
    options: TuneOptions,
    rest: list[str],
    console: Console,
) -> int:
    distribution = build(project, console)
    require_sound(project, job, distribution, rest, console)
    code = run_prepare(project, job.data, distribution, ["--reuse", *options.verbosity], console)
    if code:
        return code
    run = run_of(project, job, distribution, "study", [*rest, "-q"])
    custom_job = shrunk(custom_job_of(job, run))
    # Where the code is the same, it does not matter which revision it is called.
    digest = digest_of(custom_job_of(job, dataclasses.replace(run, revision="")), study)
    folder, resumed = next_study(project.runs, digest)
    wanted = wanted_trials(study)
    at_once = trials.most_in_parallel(study.options.parallel_trials)
    note = ", resuming" if resumed else ""
    console.step(
        "study", f"{project.shown_path(folder)}{note}; {wanted} trials, {at_once} in parallel"
    )
    with locked(folder / "lock", "another nox -s tune on this study", console):
        (folder / "digest").write_text(digest, encoding="utf-8")
        with mounted(links_of(project, job, distribution, run, folder)) as mount:
            study_folder = trials.StudyFolder(
                project.folder, folder, mount, project.training.folder
            )
            found = optuna_sampler.open_study(study, folder / "study.db")
            work = search.Search(study, custom_job, study_folder, found, console)
            search.search(work, wanted, at_once)
        outcomes = optuna_sampler.outcomes(found)
        report.write(folder, study, outcomes, work.value(search.DEFAULTS), console)
    if not any(each.value is not None for each in outcomes):
        return EXIT_FAILED
    console.step("next", "nox -s local_train -- --trial best, or submit -- --trial best")
    return 0


def links_of(
    project: Project,
    job: Job,
    distribution: SourceDistribution,
    run: Run,
    folder: Path,
) -> dict[str, Path]:
    """Return the folders of this machine that stand for the bucket's: data, package and outputs."""
    return {
        run.data_uri: Path(project.absolute(job.data.prepared)),
        run.package_uri.rpartition("/")[0]: distribution.path.parent,
        output_uri(job, run.name): folder,
    }


def wanted_trials(study: Study) -> int:
    """Return how many trials are run: those that are asked for, or all of a smaller grid."""
    if study.options.algorithm != "grid":
        return study.options.trials
    return sum(1 for _ in itertools.islice(optuna_sampler.grid(study), study.options.trials))


def digest_of(custom_job: dict[str, Any], study: Study) -> str:
    """Return a digest of all that a study's results depend on, so that only an equal one is resumed."""
    endless = dataclasses.replace(study.options, trials=0, parallel_trials=0)
    unbounded = dataclasses.asdict(dataclasses.replace(study, options=endless))
    content = [custom_job["jobSpec"]["workerPoolSpecs"], unbounded]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def tune_in_the_cloud(
    project: Project,
    job: Job,
    study: Study,
    options: TuneOptions,
    rest: list[str],
    console: Console,
) -> int:
    code = list_or_cancel(project, job, options, TuningService, console)
    if code is not None:
        return code
    resource_of = functools.partial(tuning_job, study=study)
    request, submission, sent = deliver(
        project, job, options, rest, TuningService, resource_of, console
    )
    if not options.wait and not sent.has_ended:
        return 0
    log = TrialLog(request.service, sent, study)
    follower = Follower(request.service, log, console, options.poll_seconds)
    report = functools.partial(report_study, project, study)
    return follow.follow(follower, sent, report, functools.partial(request.conclude, submission))


def report_study(project: Project, study: Study, job: CloudJob, console: Console) -> int:
    outcomes = outcomes_of(job, study)
    if any(each.value is not None for each in outcomes):
        folder = new_study(project.runs)
        folder.mkdir(parents=True)
        report.write(folder, study, outcomes, None, console, drawn=False)
        console.step("next", "nox -s submit -- --trial best, or local_train -- --trial best")
    if job.state == SUCCEEDED:
        console.step("outputs", f"{job.output}/TRIAL/model")
        return 0
    reason = f": {job.error}" if job.error else ""
    console.error(f"job {job.id} {job.state.lower()}{reason}; it is at {job.address}")
    return EXIT_FAILED


COMMAND = Command("Run the study of job.toml.", TuneOptions, tune, TASK_MODULE)
