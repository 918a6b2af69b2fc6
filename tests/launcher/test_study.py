"""The study of job.toml: how it is read, its resource for the service, and its checks."""

import dataclasses
import json
from types import SimpleNamespace
from typing import Any

import pytest
from launcher.checks.study import study_findings, tier_findings
from launcher.commands import tune
from launcher.console import UserError
from launcher.executors.local.cluster import TASK_TYPES, Replica, cluster_spec
from launcher.spec.custom_job import arguments_of, custom_job_of, variables_of
from launcher.spec.study import Parameter, read_study
from launcher.spec.tuning_job import study_spec, trial_flags, trial_job, tuning_job

from tests.launcher.samples import (
    BATCH,
    DROPOUT,
    ENSEMBLE,
    OPTIONS,
    RATE,
    RUN,
    UNITS,
    job_of,
    study_of,
)

PARAMETERS = {
    "dropout": DROPOUT,
    "ensemble": ENSEMBLE,
    "learning_rate": RATE,
    "hidden_units": UNITS,
    "batch_size": BATCH,
}
PARAMETER_SPECS = [
    {
        "parameterId": "ensemble",
        "integerValueSpec": {"minValue": "1", "maxValue": "8"},
        "scaleType": "UNIT_LINEAR_SCALE",
        "conditionalParameterSpecs": [
            {
                "parentIntValues": {"values": ["1"]},
                "parameterSpec": {
                    "parameterId": "dropout",
                    "doubleValueSpec": {"minValue": 0.0, "maxValue": 0.5},
                    "scaleType": "UNIT_LINEAR_SCALE",
                },
            }
        ],
    },
    {
        "parameterId": "learning-rate",
        "doubleValueSpec": {"minValue": 0.001, "maxValue": 0.1},
        "scaleType": "UNIT_LOG_SCALE",
    },
    {
        "parameterId": "hidden-units",
        "categoricalValueSpec": {"values": ["64,32", "128,64,32"]},
    },
    {
        "parameterId": "batch-size",
        "discreteValueSpec": {"values": [256.0, 1024.0]},
        "scaleType": "UNIT_LINEAR_SCALE",
    },
]


def test_a_job_without_a_study_has_no_findings() -> None:
    assert read_study({}, "job.toml") is None
    assert study_findings(job_of()) == []


def test_a_study_becomes_a_study_spec() -> None:
    spec = study_spec(study_of(PARAMETERS, early_stopping="decay_curve", algorithm="random"))
    assert spec == {
        "metrics": [{"metricId": "auc", "goal": "MAXIMIZE"}],
        "algorithm": "RANDOM_SEARCH",
        "measurementSelectionType": "BEST_MEASUREMENT",
        "decayCurveStoppingSpec": {"useElapsedDuration": False},
        "parameters": PARAMETER_SPECS,
    }


def test_the_default_algorithm_has_no_name_and_no_early_stopping_has_no_field() -> None:
    spec = study_spec(study_of({"learning_rate": RATE}))
    assert set(spec) == {"metrics", "parameters", "measurementSelectionType"}


def test_the_trials_of_a_tuning_job_are_the_job_that_submit_sends() -> None:
    job = job_of(study=study_of(PARAMETERS, parallel_trials=3, failed_trials=2))
    assert job.study
    made, trained = tuning_job(job, RUN, job.study), custom_job_of(job, RUN)
    assert made["trialJobSpec"] == trained["jobSpec"]
    assert (made["displayName"], made["labels"]) == (trained["displayName"], trained["labels"])
    counts = [made[key] for key in ("maxTrialCount", "parallelTrialCount", "maxFailedTrialCount")]
    assert counts == [9, 3, 2]
    json.dumps(made)


def test_a_trial_has_its_flags_last_its_variables_and_a_folder_of_its_own() -> None:
    trained = custom_job_of(job_of(), RUN)
    before = json.dumps(trained)
    trial = trial_job(trained, "7", trial_flags({"learning_rate": 0.5, "batch_size": 64}), "/m/f")
    [pool, *_] = trial["jobSpec"]["workerPoolSpecs"]
    assert arguments_of(pool)[-4:] == ["--learning-rate", "0.5", "--batch-size", "64"]
    assert variables_of(pool)["CLOUD_ML_TRIAL_ID"] == "7"
    assert variables_of(pool)["CLOUD_ML_HP_METRIC_FILE"] == "/m/f"
    assert trial["jobSpec"]["baseOutputDirectory"]["outputUriPrefix"].endswith("/jobs/run-1/7")
    assert json.dumps(trained) == before
    chief, addresses = Replica(0, 0), {0: ["a:1"], 1: ["b:1"]}
    assert cluster_spec(trial, chief, addresses, TASK_TYPES)["task"]["trial"] == "7"
    assert "trial" not in cluster_spec(trained, chief, addresses, TASK_TYPES)["task"]


@pytest.mark.parametrize(
    ("study", "message"),
    [
        ({"goal": "up"}, "goal is 'up'; expected one of maximize, minimize"),
        ({"metrics": "auc"}, "unknown key 'metrics'"),
        ({"goal": ""}, "goal is ''; expected one of maximize, minimize"),
        ({"parameters": {"x": {"min": 1}}}, "the key type is missing"),
        ({"parameters": {"x": {"type": "float"}}}, "type is 'float'; expected one of double"),
        ({"parameters": {"x": {"type": "double", "min": 1}}}, "max is missing for the type double"),
        ({"parameters": {"x": {**UNITS, "max": 1}}}, "max is given for the type categorical"),
        ({"parameters": {"x": {**RATE, "min": "1"}}}, "min is '1'; expected a finite number"),
        ({"parameters": {"x": {**RATE, "max": float("inf")}}}, "expected a finite number"),
        ({"parameters": {"x": {**BATCH, "values": [[1]]}}}, "a list of texts or finite num"),
        ({"parameters": {"x": {**BATCH, "values": [1, float("nan")]}}}, "texts or finite numbers"),
        ({"parameters": {"x": {**BATCH, "values": [10**400]}}}, "texts or finite numbers"),
        ({"parameters": {"x": {**BATCH, "values": [True]}}}, "texts or finite numbers"),
        ({"parameters": {"x": {**RATE, "max": 10**400}}}, "expected a finite number"),
        ({"parameters": {"x": {**RATE, "when": {"y": []}}}}, "one parameter and a list of its"),
        ({"parameters": {"x": {**RATE, "when": {"a": [1], "b": [1]}}}}, "one parameter and a list"),
    ],
)
def test_an_invalid_study_is_refused(study: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_study({"study": {**OPTIONS, **study}}, "job.toml")


@pytest.mark.parametrize(
    ("parameters", "options", "message"),
    [
        ({}, {}, "has no parameters"),
        ({"learning_rate": RATE}, {"trials": 0}, "trials is 0; expected an integer >= 1"),
        ({"learning_rate": RATE}, {"parallel_trials": 10}, "at most the number of trials, 9"),
        ({"learning_rate": RATE}, {"failed_trials": -1}, "failed_trials is -1"),
        ({"learning_rate": RATE}, {"metric": "a b"}, "a name without spaces"),
        (
            {"learning_rate": RATE},
            {"metric": ""},
            "[study] has a goal and no metric; expected both",
        ),
        ({"learning_rate": RATE}, {"algorithm": "grid"}, "algorithm is grid, and learning_rate"),
        ({"learning_rate": {**RATE, "min": 0.0}}, {}, "scale is log, and its least value is 0"),
        ({"learning_rate": {**RATE, "min": 1.0}}, {}, "min is 1 and max 0.1"),
        ({"ensemble": {**ENSEMBLE, "min": 0.5}}, {}, "integers"),
        ({"hidden_units": {**UNITS, "scale": "log"}}, {}, "scale is log; expected none for text"),
        ({"hidden_units": {**UNITS, "values": []}}, {}, "one or more, each once"),
        ({"hidden_units": {**UNITS, "values": [64]}}, {}, "texts for categorical"),
        ({"batch_size": {**BATCH, "values": ["64"]}}, {}, "numbers for discrete"),
        ({"batch_size": {**BATCH, "values": [64, 32]}}, {}, "numbers that rise"),
        ({"batch_size": {**BATCH, "values": [*range(1001)]}}, {}, "at most 1000"),
        ({"data_dir": RATE}, {}, "cannot vary"),
        ({"dropout": DROPOUT}, {}, "when names 'ensemble'; expected another parameter"),
        ({"dropout": {**DROPOUT, "when": {"dropout": [1]}}}, {}, "leads back to itself"),
        ({"dropout": DROPOUT, "ensemble": RATE}, {}, "when names ensemble, a double"),
        ({"dropout": {**DROPOUT, "when": {"ensemble": [9]}}, "ensemble": ENSEMBLE}, {}, "has 9"),
    ],
)
def test_a_study_that_the_service_would_refuse_is_reported(
    parameters: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    [finding] = study_findings(job_of(study=study_of(parameters, **options)))
    assert message in str(finding) and "; expected " in str(finding)


def test_a_study_without_a_metric_is_valid() -> None:
    parameters = {"learning_rate": RATE}
    study = read_study({"study": {"trials": 9, "parameters": parameters}}, "job.toml")
    assert study and (study.options.metric, study.options.goal) == ("", "")
    assert study_findings(job_of(study=study_of(parameters, metric="", goal=""))) == []


def test_tpus_run_no_trials() -> None:
    job = job_of()
    assert tier_findings(job) == []
    tpu = dataclasses.replace(job, cloud=dataclasses.replace(job.cloud, scale_tier="BASIC_TPU"))
    [finding] = tier_findings(tpu)
    assert "does not run on TPUs" in str(finding)


def test_a_parameter_follows_the_one_it_depends_on() -> None:
    chain = {
        "c": Parameter("integer", 1, 2, parent="b"),
        "b": Parameter("integer", 1, 2, parent="a"),
        "a": Parameter("integer", 1, 2),
    }
    study = dataclasses.replace(study_of({"learning_rate": RATE}), parameters=chain)
    assert study.in_order() == ["a", "b", "c"]


def session_of(objective: dict[str, str], *arguments: str, **options: Any) -> Any:
    """Return what `nox -s tune` reads of its session."""
    given = SimpleNamespace(trials=None, parallel=None, list=False, cancel=None)
    found = SimpleNamespace(objective=objective)
    job = job_of(study=study_of({"learning_rate": RATE}, **options))
    return SimpleNamespace(job=job, options=given, arguments=[*arguments], found=found)


@pytest.mark.parametrize(
    ("options", "flags", "expected"),
    [
        ({}, (), ("auc", "maximize")),
        ({"metric": "", "goal": ""}, (), ("mae", "minimize")),
        ({}, ("--metric", "mae"), ("mae", "minimize")),
    ],
)
def test_a_study_has_the_metric_of_the_trainer_by_default(
    options: dict[str, str], flags: tuple[str, ...], expected: tuple[str, str]
) -> None:
    trainer_s = {"metric": "mae", "goal": "minimize"}
    found = tune.study_of(session_of(trainer_s, *flags, **options)).options
    assert (found.metric, found.goal) == expected


def test_a_study_of_another_module_names_its_metric() -> None:
    with pytest.raises(UserError, match="has no metric, and trainer.task names none; expected"):
        tune.study_of(session_of({}, metric="", goal=""))
