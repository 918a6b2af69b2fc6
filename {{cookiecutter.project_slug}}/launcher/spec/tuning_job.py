"""A study and a job -> the HyperparameterTuningJob that is sent, and the CustomJob of one of its trials. Pure.

The fields are those of the REST resource:
https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.hyperparameterTuningJobs
"""

from collections.abc import Mapping, Sequence
from typing import Any

from launcher.contract import METRIC_FILE_VARIABLE, TRIAL_VARIABLE
from launcher.spec.catalog import google_cloud
from launcher.spec.custom_job import Run, custom_job_of
from launcher.spec.job_file import Job, flag_name
from launcher.spec.study import RANGES, Parameter, Study, Value


def tuning_job(job: Job, run: Run, study: Study) -> dict[str, Any]:
    """Return the HyperparameterTuningJob, as the JSON of the REST interface, whose trials train `job`."""
    trained = custom_job_of(job, run)
    options = study.options
    return {
        "displayName": trained["displayName"],
        "labels": trained["labels"],
        "studySpec": study_spec(study),
        "maxTrialCount": options.trials,
        "parallelTrialCount": options.parallel_trials,
        "maxFailedTrialCount": options.failed_trials,
        "trialJobSpec": trained["jobSpec"],
    }


def study_spec(study: Study) -> dict[str, Any]:
    options = study.options
    spec: dict[str, Any] = {
        "metrics": [{"metricId": options.metric, "goal": options.goal.upper()}],
        "parameters": [parameter_spec(study, name) for name in children_of(study, "")],
    }
    for key, choices in google_cloud()["study"]["choices"].items():
        spec |= choices[getattr(options, key)]
    return spec


def parameter_spec(study: Study, name: str) -> dict[str, Any]:
    """Return the ParameterSpec of a parameter and of all that depend on it."""
    parameter = study.parameters[name]
    spec: dict[str, Any] = {"parameterId": flag_name(name), **values_spec(parameter)}
    if parameter.type != "categorical":
        spec["scaleType"] = f"UNIT_{parameter.scale.upper()}_SCALE"
    if children := children_of(study, name):
        spec["conditionalParameterSpecs"] = [condition(study, name, child) for child in children]
    return spec


def condition(study: Study, parent: str, child: str) -> dict[str, Any]:
    """Return a parameter with the values of another one on which it depends."""
    kind, values = study.parameters[parent].type, study.parameters[child].parent_values
    field = google_cloud()["study"]["types"][kind]
    return {
        field: {"values": json_values(kind, values)},
        "parameterSpec": parameter_spec(study, child),
    }


def children_of(study: Study, parent: str) -> list[str]:
    """Return the parameters that depend on another one, "" for those that depend on none."""
    return [name for name, each in study.parameters.items() if each.parent == parent]


def values_spec(parameter: Parameter) -> dict[str, Any]:
    """Return the field of a ParameterSpec that lists or bounds the values."""
    values = json_values(parameter.type, parameter.samples())
    if parameter.type in RANGES:
        return {f"{parameter.type}ValueSpec": {"minValue": values[0], "maxValue": values[1]}}
    return {f"{parameter.type}ValueSpec": {"values": values}}


def json_values(kind: str, values: Sequence[Value]) -> list[str] | list[float]:
    """Return values as the REST interface has them: 64-bit integers are text."""
    if kind in ("double", "discrete"):
        return [float(value) for value in values]
    return [str(value) for value in values]


def trial_flags(values: Mapping[str, Value]) -> list[str]:
    """Return what the service appends to the arguments of a trial."""
    return [word for name, value in values.items() for word in (f"--{flag_name(name)}", str(value))]


def trial_job(
    trained: Mapping[str, Any], trial: str, flags: Sequence[str], metric_file: str
) -> dict[str, Any]:
    """Return the CustomJob that a trial is: its flags behind the others, its variables, and a folder of its own.

    Sources: https://cloud.google.com/vertex-ai/docs/training/using-hyperparameter-tuning and -/code-requirements
    """
    variables = {TRIAL_VARIABLE: trial, METRIC_FILE_VARIABLE: metric_file}
    job = with_more(trained, flags, variables)
    base = trained["jobSpec"]["baseOutputDirectory"]["outputUriPrefix"].rstrip("/")
    job["jobSpec"]["baseOutputDirectory"] = {"outputUriPrefix": f"{base}/{trial}"}
    return job


def with_more(
    custom_job: Mapping[str, Any], flags: Sequence[str], variables: Mapping[str, str]
) -> dict[str, Any]:
    """Return a CustomJob whose programs get more flags and variables."""
    spec = custom_job["jobSpec"]
    added = [{"name": name, "value": value} for name, value in variables.items()]
    pools = [pool_with_more(pool, flags, added) for pool in spec["workerPoolSpecs"]]
    return {**custom_job, "jobSpec": {**spec, "workerPoolSpecs": pools}}


def pool_with_more(
    pool: Mapping[str, Any], flags: Sequence[str], variables: Sequence[Mapping[str, str]]
) -> dict[str, Any]:
    more = dict(pool)  # an unused one is empty, and stays so
    for name in {"containerSpec", "pythonPackageSpec"} & pool.keys():
        args, env = ([*pool[name].get(key, [])] for key in ("args", "env"))
        more[name] = {**pool[name], "args": [*args, *flags], "env": [*env, *variables]}
    return more
