"""A study on this machine: proposes, runs, watches and stops trials until enough have ended."""

import contextlib
import json
import math
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from launcher.console import Console, UserError, shown
from launcher.contract import METRICS, PARENT_VARIABLE, TRIAL_SECONDS
from launcher.spec.study import Study
from launcher.spec.tuning_job import trial_flags, trial_job
from launcher.subprocesses import Process, clean_variables, end, signals_postponed
from launcher.tuning import optuna_sampler

POLL_SECONDS = 0.2
DEFAULTS = "0"
"""The name of the run without any of the study's flags, which the trials have to beat."""
MEGABYTES_PER_TRIAL = 1_500
# The trial gives its own replicas less than half of it.


@dataclass
class Search:
    """A study with what its trials need, and those that run."""

    study: Study
    folder: Path
    """Of the study; holds the outputs of trial 7 in 7/."""
    custom_job: Mapping[str, Any]
    package: Path
    """The source distribution that every trial runs."""
    mount: Path
    project: Path
    console: Console
    optuna_study: Any = field(init=False)
    running: dict[str, Process] = field(default_factory=dict)
    optuna_trials: dict[str, Any] = field(default_factory=dict)
    """Optuna's trial of each that is running."""

    def __post_init__(self) -> None:
        self.optuna_study = optuna_sampler.open_study(self.study, self.folder / "study.db")

    def metric_file(self, trial: str) -> Path:
        return self.folder / trial / "output.metrics"

    def log(self, trial: str) -> Path:
        return self.folder / trial / "output.log"

    def measured(self, trial: str) -> list[float]:
        """Return what a trial has reported of the metric, in order, NaN for a text."""
        metric, reported = self.study.options.metric, records(self.metric_file(trial))
        return [as_number(record[metric]) for record in reported if metric in record]

    def invalid(self, trial: str) -> list[str]:
        """Return what a trial has reported of the metric that is no finite number."""
        metric = self.study.options.metric
        return [
            f"{metric} is {shown(record[metric])} at step {record.get('global_step', '?')}"
            for record in records(self.metric_file(trial))
            if metric in record and not math.isfinite(as_number(record[metric]))
        ]

    def value(self, trial: str) -> float | None:
        options = self.study.options
        return counted(self.measured(trial), options.measurement, options.goal)


def search(work: Search, wanted: int, at_a_time: int) -> None:
    """Run trials until `wanted` have ended, `at_a_time` at a time; the run with the defaults comes first.

    Raises `UserError` if too many fail. Interrupted trials are resumed with the study.
    """
    try:
        has_ended = (work.folder / DEFAULTS / METRICS).is_file()
        if work.value(DEFAULTS) is None or not has_ended:
            launch(work, DEFAULTS, [])
        for trial in interrupted(work):
            propose(work, trial)
        while True:
            check_failures(work)
            fill(work, wanted, at_a_time)
            if not work.running:
                check_failures(work, all_ended=True)
                return
            time.sleep(POLL_SECONDS)
            for trial in list(work.running):
                watch(work, trial)
    finally:
        end(list(work.running.values()), TRIAL_SECONDS)


def interrupted(work: Search) -> list[Any]:
    """Return Optuna's trials that ran when the study was stopped."""
    optuna = optuna_sampler.load_optuna()
    states = (optuna.trial.TrialState.RUNNING,)
    running = work.optuna_study.get_trials(deepcopy=False, states=states)
    return [optuna.trial.Trial(work.optuna_study, each._trial_id) for each in running]


def fill(work: Search, wanted: int, at_a_time: int) -> None:
    proposed = len(work.optuna_study.get_trials(deepcopy=False))
    for _ in range(min(at_a_time - len(work.running), wanted - proposed)):
        propose(work, work.optuna_study.ask())


def propose(work: Search, trial: Any) -> None:
    """Choose the values of a new trial and start it; one that was interrupted keeps those that Optuna knows of it."""
    values = optuna_sampler.propose_values(trial, work.study)
    trial.set_user_attr(optuna_sampler.VALUES, values)
    name = str(trial.number + 1)
    work.optuna_trials[name] = trial
    launch(work, name, trial_flags(values))


def launch(work: Search, trial: str, flags: list[str]) -> None:
    work.console.step("trial", f"{trial:>3} starts  {' '.join(flags) or '(the defaults)'}")
    job = trial_job(work.custom_job, trial, flags, str(work.metric_file(trial)))
    with signals_postponed():
        work.running[trial] = start(work, trial, job)


def start(work: Search, trial: str, custom_job: Mapping[str, Any]) -> Process:
    """Start a trial as the CustomJob that the service would make of it; it ends with this process, however that ends.

    It first waits for an earlier process of the same trial, which a killed study may have left for some seconds.
    """
    path = work.folder / trial / "job.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(custom_job, indent=1), encoding="utf-8")
    command = [sys.executable, "-m", "launcher.executors.local", str(path)]
    command += ["--mount", str(work.mount), "--package", str(work.package)]
    variables = clean_variables(**{PARENT_VARIABLE: str(os.getpid())})
    with work.log(trial).open("ab") as output:
        return Process(trial, command, work.project, variables, output)


def watch(work: Search, trial: str) -> None:
    """Report new measurements to Optuna; stop a trial that is behind; record the result of one that has ended."""
    optuna_trial, code = work.optuna_trials.get(trial), work.running[trial].code
    measured = work.measured(trial)
    if optuna_trial is not None:
        every = work.optuna_study.get_trials(deepcopy=False)
        for step in range(len(every[optuna_trial.number].intermediate_values), len(measured)):
            optuna_trial.report(measured[step], step)
    if code is not None:
        conclude(work, trial, code)
    elif optuna_trial is not None and measured and optuna_trial.should_prune():
        end([work.running[trial]], TRIAL_SECONDS)
        finish(work, trial, ": ".join(["stopped early", *work.invalid(trial)[:1]]), state="PRUNED")


def conclude(work: Search, trial: str, code: int) -> None:
    value = work.value(trial)
    if trial == DEFAULTS and not code:
        check_metric(work)
    if code or value is None:
        finish(work, trial, f"failed: {reason(work, trial, code)}", "FAIL")
        return
    for text in work.invalid(trial)[:1]:
        work.console.warning(
            f"trial {trial}: {text}; expected a finite number; see {work.log(trial)}"
        )
    finish(work, trial, f"{work.study.options.metric} {value:.4f}", "COMPLETE", value)


def check_metric(work: Search) -> None:
    """Raise `UserError` if the run with the defaults has ended well without the study's metric: no trial will have it."""
    metric = work.study.options.metric
    names = reported_names(work.metric_file(DEFAULTS))
    if metric not in names:
        raise UserError(
            f"job.toml [study] metric is {metric}, and a run reported {', '.join(names) or 'nothing'}",
            "a metric that the trainer reports",
            f"write {names[0]}" if names else "report it, as trainer/training/monitor.py does",
        )


def reason(work: Search, trial: str, code: int = 0) -> str:
    """Return why a trial has no result: its own last error, or what it reported in place of the metric."""
    log = work.log(trial).read_text(encoding="utf-8", errors="replace")
    errors = [line for line in log.splitlines() if line.startswith("error: ")]
    if errors:
        return errors[-1].removeprefix("error: ")
    metric, names = work.study.options.metric, reported_names(work.metric_file(trial))
    if metric not in names:
        why = f"it reported {', '.join(names) or 'nothing'}, not {metric}"
    else:
        why = [f"it reported no {metric}", *work.invalid(trial)][-1]
    return f"{why} (exit code {code})" if code else why


def finish(work: Search, trial: str, text: str, state: str, value: float | None = None) -> None:
    del work.running[trial]
    optuna_trial = work.optuna_trials.pop(trial, None)
    if optuna_trial is not None:
        states = optuna_sampler.load_optuna().trial.TrialState
        work.optuna_study.tell(optuna_trial, value, state=states[state])
    work.console.step("trial", f"{trial:>3} {text}")


def check_failures(work: Search, all_ended: bool = False) -> None:
    """Raise `UserError` once too many trials have failed: more than are allowed, or the very first, or in the end all."""
    ended = [each for each in optuna_sampler.outcomes(work.optuna_study) if each.state != "running"]
    failed = [each for each in ended if each.state == "failed"]
    most = work.study.options.failed_trials
    none_left = len(failed) == len(ended) and (all_ended or not most)
    if failed and (none_left or len(failed) > most > 0):
        number = str(failed[-1].number)
        raise UserError(
            f"{len(failed)} of {len(ended)} trials failed, the last: {reason(work, number)}",
            f"at most {most} (failed_trials in job.toml), and a first trial that does not fail",
            f"look at {work.log(number)}",
        )


def records(path: Path) -> Iterator[dict[str, Any]]:
    """Yield what a trial has reported, in order, without a line that is incomplete; the service reads the same file."""
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError, TypeError):
                yield dict(json.loads(line))


def as_number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def reported_names(path: Path) -> list[str]:
    others = {"checkpoint_path", "global_step", "timestamp", "trial"}
    return [name for name in dict.fromkeys(chain(*records(path))) if name not in others]


def counted(values: Sequence[float], measurement: str, goal: str) -> float | None:
    """Return the measurement that counts, None if there is none or it is not finite."""
    if not values:
        return None
    best = max if goal == "maximize" else min
    finite = [value for value in values if math.isfinite(value)]
    value = values[-1] if measurement == "last" else best(finite, default=math.nan)
    return value if math.isfinite(value) else None


def most_in_parallel(wanted: int) -> int:
    """Return how many of the wanted parallel trials this machine has cores and memory for."""
    cores = os.cpu_count() or 1
    return max(1, min(wanted, cores, memory_mb() // MEGABYTES_PER_TRIAL))


def memory_mb() -> int:
    """Return the machine's memory in megabytes, a low guess where the system does not report it."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // (1 << 20)
    except (AttributeError, OSError, ValueError):
        return 8_192
