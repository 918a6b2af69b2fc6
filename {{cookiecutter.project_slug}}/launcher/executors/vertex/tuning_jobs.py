"""The HyperparameterTuningJobs of the job service, and the outcomes of their trials.

Source: https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.hyperparameterTuningJobs
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from launcher.executors.vertex.jobs import CloudJob, JobService
from launcher.spec.job_file import flag_name
from launcher.spec.study import Outcome, Parameter, Study, Value
from launcher.spec.tuning_job import trial_flags

STATES = {"SUCCEEDED": "complete", "INFEASIBLE": "failed"}
"""Of trials that have ended; all others are running."""


class TuningService(JobService):
    collection = "hyperparameterTuningJobs"
    command = "tune"


@dataclass
class TrialLog:
    service: JobService
    job: CloudJob
    study: Study
    shown: dict[int, str] = field(default_factory=dict)

    def new_lines(self) -> Iterator[str]:
        """Yield a line for each trial that has begun or ended since the last look."""
        job = self.service.get(self.job.resource)
        for outcome in outcomes_of(job, self.study):
            line = line_of(outcome, self.study.options.metric)
            if self.shown.get(outcome.number) != line:
                self.shown[outcome.number] = line
                yield line


def line_of(outcome: Outcome, metric: str) -> str:
    value = "" if outcome.value is None else f", {metric} {outcome.value:.4f}"
    return f"trial {outcome.number:>3} {outcome.state}{value}  {' '.join(outcome.flags)}"


def outcomes_of(job: CloudJob, study: Study) -> list[Outcome]:
    return sorted((outcome_of(each, study) for each in job.trials), key=lambda each: each.number)


def outcome_of(trial: Mapping[str, Any], study: Study) -> Outcome:
    metrics = trial.get("finalMeasurement", {}).get("metrics", [])
    names = {flag_name(name): name for name in study.parameters}
    sent = {each["parameterId"]: each.get("value") for each in trial.get("parameters", [])}
    named = {names.get(flag, flag): value for flag, value in sent.items()}
    values = {name: typed(value, study.parameters.get(name)) for name, value in named.items()}
    state = STATES.get(str(trial.get("state")), "running")
    return Outcome(
        number=int(trial["id"]),
        state=state,
        value=measured(metrics, study.options.metric) if state == "complete" else None,
        values=values,
        flags=tuple(trial_flags(values)),
    )


def measured(metrics: list[Mapping[str, Any]], metric: str) -> float | None:
    """Return the value of a metric, None if it was not measured or is not finite."""
    values = [float(each.get("value", 0.0)) for each in metrics if each.get("metricId") == metric]
    return values[0] if values and math.isfinite(values[0]) else None


def typed(value: Any, parameter: Parameter | None) -> Value:
    """Return a value as the flag takes it: in JSON an integer may be any kind of number."""
    if parameter is None or parameter.type == "categorical":
        return str(value)
    if parameter.type == "integer":
        return int(value)
    if parameter.type == "discrete":
        return min(parameter.values, key=lambda each: abs(float(each) - float(value)))
    return float(value)
