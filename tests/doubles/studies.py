"""Studies of tuning jobs: validation, the values of each trial, and its measurements.

Source: https://cloud.google.com/vertex-ai/docs/reference/rest/v1/StudySpec. How the service chooses values is not
documented; here it is at random, with a fixed seed, except for a grid.
"""

import itertools
import json
import math
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from tests.doubles.rules import Problems
from tests.doubles.server import Json

VALUE_FIELDS = ("doubleValueSpec", "integerValueSpec", "categoricalValueSpec", "discreteValueSpec")
PARENT_FIELDS = ("parentCategoricalValues", "parentDiscreteValues", "parentIntValues")
MOST_DISCRETE = 1_000
TRIALS_BEFORE_STOPPING = 5


def study_problems(resource: Json) -> Problems:
    """Yield the problems of a tuning job, apart from the job of its trials."""
    study = resource.get("studySpec", {})
    if len(study.get("metrics", [])) != 1:
        yield "study_spec.metrics", "Exactly one metric is supported"
    if not 1 <= resource.get("parallelTrialCount", 0) <= resource.get("maxTrialCount", 0):
        yield "parallel_trial_count", "Must be from 1 to max_trial_count"
    if not study.get("parameters"):
        yield "study_spec.parameters", "At least one parameter is required"
    for parameter in all_parameters(study.get("parameters", [])):
        for text in parameter_problems(parameter, study.get("algorithm", "")):
            yield f"study_spec.parameters.{parameter.get('parameterId')}", text
    for pool in resource.get("trialJobSpec", {}).get("workerPoolSpecs", []):
        if pool.get("machineSpec", {}).get("machineType", "").startswith("ct"):
            yield "trial_job_spec", "Hyperparameter tuning does not support TPUs"


def all_parameters(parameters: Sequence[Json]) -> Iterator[Json]:
    """Yield parameters and their conditional parameters."""
    for parameter in parameters:
        yield parameter
        children = [
            each["parameterSpec"] for each in parameter.get("conditionalParameterSpecs", [])
        ]
        yield from all_parameters(children)


def parameter_problems(parameter: Json, algorithm: str) -> Iterator[str]:
    found = [field for field in VALUE_FIELDS if field in parameter]
    if len(found) != 1 or not parameter.get("parameterId", "").strip():
        yield "A parameter has an id and one kind of values"
        return
    values, scale = parameter[found[0]], parameter.get("scaleType", "")
    if "LOG" in scale and min(map(float, bounds(parameter))) <= 0:
        yield "A logarithmic scale requires values above 0"
    if algorithm == "GRID_SEARCH" and "doubleValueSpec" in parameter:
        yield "GRID_SEARCH does not support DOUBLE parameters"
    if "discreteValueSpec" in parameter:
        numbers = values["values"]
        if numbers != sorted(set(numbers)) or len(numbers) > MOST_DISCRETE:
            yield "Discrete values must be increasing, and at most 1000"


def bounds(parameter: Json) -> list[float]:
    """Return the bounds of a range, or all numbers of a list; none for text."""
    for field in ("doubleValueSpec", "integerValueSpec"):
        if field in parameter:
            # proto3's JSON leaves out what is 0.
            return [float(parameter[field].get(key, 0)) for key in ("minValue", "maxValue")]
    return list(parameter.get("discreteValueSpec", {}).get("values", [1.0]))


def chosen(study: Json, number: int) -> list[Json]:
    """Return the parameters of trial `number`, from 1, with their values."""
    if study.get("algorithm") == "GRID_SEARCH":
        return next(itertools.islice(combinations(study["parameters"]), number - 1, None), [])
    choose = random.Random(number)
    return list(drawn(study["parameters"], choose))


def drawn(parameters: Sequence[Json], choose: random.Random) -> Iterator[Json]:
    """Yield a value of each parameter and of the active conditional ones."""
    for parameter in parameters:
        value = draw(parameter, choose)
        yield {"parameterId": parameter["parameterId"], "value": value}
        yield from drawn(dependents(parameter, value), choose)


def draw(parameter: Json, choose: random.Random) -> object:
    """Return a value of a parameter on its scale."""
    for field in ("categoricalValueSpec", "discreteValueSpec"):
        if field in parameter:
            return choose.choice(parameter[field]["values"])
    low, high = bounds(parameter)
    scale = parameter.get("scaleType", "")
    number = choose.uniform(low, high)
    if "LOG" in scale:
        number = math.exp(choose.uniform(math.log(low), math.log(high)))
    if "REVERSE" in scale:
        number = low + high - number
    return float(round(number)) if "integerValueSpec" in parameter else number


def dependents(parameter: Json, value: object) -> list[Json]:
    """Return the conditional parameters that this value activates."""
    return [
        each["parameterSpec"]
        for each in parameter.get("conditionalParameterSpecs", [])
        for field in PARENT_FIELDS
        if str(value).removesuffix(".0")
        in [str(one).removesuffix(".0") for one in each.get(field, {}).get("values", [])]
    ]


def combinations(parameters: Sequence[Json]) -> Iterator[list[Json]]:
    if not parameters:
        yield []
        return
    first, *others = parameters
    for value in grid_values(first):
        own = {"parameterId": first["parameterId"], "value": value}
        for rest in combinations([*dependents(first, value), *others]):
            yield [own, *rest]


def grid_values(parameter: Json) -> Sequence[object]:
    if "integerValueSpec" in parameter:
        low, high = map(int, bounds(parameter))
        return range(low, high + 1)
    spec = parameter.get("categoricalValueSpec") or parameter["discreteValueSpec"]
    return list(spec["values"])


def trial_job(resource: Json, trial: Json, metric_file: Path) -> Json:
    spec: Json = json.loads(json.dumps(resource["trialJobSpec"]))
    flags = [
        word
        for each in trial["parameters"]
        for word in (f"--{each['parameterId']}", str(each["value"]).removesuffix(".0"))
    ]
    variables = {"CLOUD_ML_TRIAL_ID": trial["id"], "CLOUD_ML_HP_METRIC_FILE": str(metric_file)}
    for pool in filter(None, spec["workerPoolSpecs"]):
        program = pool.get("containerSpec") or pool["pythonPackageSpec"]
        program["args"] = [*program.get("args", []), *flags]
        added = [{"name": name, "value": value} for name, value in variables.items()]
        program["env"] = [*program.get("env", []), *added]
    base = spec["baseOutputDirectory"]["outputUriPrefix"].rstrip("/")
    spec["baseOutputDirectory"] = {"outputUriPrefix": f"{base}/{trial['id']}"}
    kept: Json = {
        key: resource[key] for key in ("displayName", "labels", "name") if key in resource
    }
    return {**kept, "jobSpec": spec}


def measurements(metric_file: Path, metric: str) -> list[Json]:
    """Return a trial's measurements of a metric, in the service's format."""
    lines = metric_file.read_text(encoding="utf-8").splitlines() if metric_file.is_file() else []
    found = []
    for line in lines:
        record = json.loads(line) if line.endswith("}") else {}
        if metric in record:
            value = {"metricId": metric, "value": float(record[metric])}
            found.append({"stepCount": record["global_step"], "metrics": [value]})
    return found


def value_of(measurement: Json) -> float:
    return float(measurement["metrics"][0]["value"])


def final(study: Json, measured: list[Json]) -> Json | None:
    """Return the measurement that counts, the last unless the study asks for the best; None without any."""
    if not measured:
        return None
    if study.get("measurementSelectionType") != "BEST_MEASUREMENT":
        return measured[-1]
    sign = -1 if study["metrics"][0].get("goal") == "MINIMIZE" else 1
    return max(measured, key=lambda each: sign * value_of(each))


def is_behind(study: Json, measured: list[Json], others: list[list[Json]]) -> bool:
    """Return whether the median rule stops a trial: its best so far is worse than the median of the others by then."""
    if not any("StoppingSpec" in key for key in study) or not measured:
        return False
    sign = -1 if study["metrics"][0].get("goal") == "MINIMIZE" else 1
    count = len(measured)
    peers = [max(sign * value_of(one) for one in each[:count]) for each in others if each]
    if len(peers) < TRIALS_BEFORE_STOPPING:
        return False
    return max(sign * value_of(one) for one in measured) < median(peers)
