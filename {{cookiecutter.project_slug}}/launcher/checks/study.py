"""What is wrong with a study, before a trial is started. Pure.

Source: https://cloud.google.com/vertex-ai/docs/reference/rest/v1/StudySpec
"""

from collections.abc import Iterator
from itertools import pairwise

from launcher.console import UserError, nearest, shown
from launcher.spec.catalog import google_cloud, kind_of
from launcher.spec.job_file import LAUNCHER_FLAGS, Job, flag_name
from launcher.spec.study import RANGES, Options, Parameter, Study, Value


def study_findings(job: Job) -> list[UserError]:
    if job.study is None:
        return []
    found = [*option_findings(job.study.options), *parameters_findings(job.study)]
    for name, parameter in job.study.parameters.items():
        where = f"job.toml [study.parameters.{name}]"
        found += [
            *name_findings(where, name),
            *range_findings(where, parameter),
            *list_findings(where, parameter),
            *condition_findings(where, name, job.study),
        ]
    return found


def tier_findings(job: Job) -> list[UserError]:
    if kind_of(job.tier()) != "tpu":
        return []
    return [
        UserError(
            f"the scale tier {job.cloud.scale_tier} has TPUs",
            "CPUs or GPUs: hyperparameter tuning does not run on TPUs",
            "name another --scale-tier",
        )
    ]


def option_findings(options: Options) -> Iterator[UserError]:
    where = "job.toml [study]"
    if options.metric != "".join(options.metric.split()):
        yield UserError(
            f"{where} metric is {shown(options.metric)}", "a name without spaces", "correct it"
        )
    for key, least in (("trials", 1), ("parallel_trials", 1), ("failed_trials", 0)):
        value = getattr(options, key)
        if value < least:
            yield UserError(f"{where} {key} is {value}", f"an integer >= {least}", "correct it")
    if options.parallel_trials > options.trials > 0:
        yield UserError(
            f"{where} parallel_trials is {options.parallel_trials}",
            f"at most the number of trials, {options.trials}",
            "lower it, or raise trials",
        )


def parameters_findings(study: Study) -> Iterator[UserError]:
    if not study.parameters:
        yield UserError(
            "job.toml [study] has no parameters",
            "a section [study.parameters.NAME] for each flag that varies",
            "add one",
        )
    ranges = [name for name, each in study.parameters.items() if each.type == "double"]
    if study.options.algorithm == "grid" and ranges:
        yield UserError(
            f"job.toml [study] algorithm is grid, and {ranges[0]} is double",
            "integer, discrete or categorical parameters for a grid",
            "list its values as discrete, or choose another algorithm",
        )


def name_findings(where: str, name: str) -> Iterator[UserError]:
    if flag_name(name) in LAUNCHER_FLAGS or name != "".join(name.split()):
        yield UserError(
            f"{where}: {shown(name)} cannot vary",
            "a flag of trainer.task other than --data-dir and --job-dir",
            "remove it",
        )


def range_findings(where: str, parameter: Parameter) -> Iterator[UserError]:
    if parameter.type == "categorical" and parameter.scale != "linear":
        yield UserError(f"{where} scale is {parameter.scale}", "none for text", "remove it")
        return
    numbers = [each for each in parameter.samples() if not isinstance(each, str)]
    if parameter.scale != "linear" and min(numbers, default=1) <= 0:
        yield UserError(
            f"{where} scale is {parameter.scale}, and its least value is {min(numbers):g}",
            "values above 0 for a logarithm",
            'raise it, or write scale = "linear"',
        )
    if parameter.type not in RANGES:
        return
    if parameter.type == "integer" and any(isinstance(each, float) for each in numbers):
        yield UserError(
            f"{where}: {parameter.low:g} to {parameter.high:g}", "integers", "correct them"
        )
    if parameter.low >= parameter.high:
        yield UserError(
            f"{where}: min is {parameter.low:g} and max {parameter.high:g}",
            "a min below the max",
            "correct them",
        )


def list_findings(where: str, parameter: Parameter) -> Iterator[UserError]:
    if parameter.type in RANGES:
        return
    limits, values = google_cloud()["study"], parameter.values
    if not values or len(set(values)) < len(values):
        yield UserError(
            f"{where} values is {shown(list(values))}", "one or more, each once", "correct it"
        )
    texts = [value for value in values if isinstance(value, str)]
    if parameter.type == "categorical":
        if len(texts) < len(values):
            yield UserError(
                f"{where} values is {shown(list(values))}",
                "texts for categorical",
                'put them in quotes, or write type = "discrete"',
            )
        return
    if texts:
        yield UserError(
            f"{where} values has {shown(texts[0])}", "numbers for discrete", "correct it"
        )
    elif not rises(values, limits["discrete_value_distance"]):
        yield UserError(
            f"{where} values is {shown(list(values))}", "numbers that rise", "put them in order"
        )
    if len(values) > limits["discrete_values"]:
        yield UserError(
            f"{where} has {len(values)} values",
            f"at most {limits['discrete_values']}",
            "list fewer",
        )


def rises(values: tuple[Value, ...], least: float) -> bool:
    """Return whether each number is greater than the one before."""
    return all(float(after) - float(before) >= least for before, after in pairwise(values))


def condition_findings(where: str, name: str, study: Study) -> Iterator[UserError]:
    parameter = study.parameters[name]
    if not parameter.parent:
        return
    parent = study.parameters.get(parameter.parent)
    if parent is None:
        guess = nearest(parameter.parent, study.parameters)
        yield UserError(
            f"{where} when names {shown(parameter.parent)}",
            "another parameter of the study",
            f"write {guess}" if guess and guess != name else "correct it",
        )
        return
    lineage = list(study.lineage(name))
    if study.parameters[lineage[-1]].parent:
        yield UserError(
            f"{where} when leads back to itself", "a parameter that is always there", "correct it"
        )
    elif parent.type == "double":
        yield UserError(
            f"{where} when names {parameter.parent}, a double",
            "an integer, discrete or categorical parameter",
            "list its values as discrete",
        )
    elif strangers := [value for value in parameter.parent_values if not may_be(parent, value)]:
        yield UserError(
            f"{where} when has {shown(strangers[0])}",
            f"values of {parameter.parent}",
            "correct it",
        )


def may_be(parameter: Parameter, value: Value) -> bool:
    """Return whether a parameter may take a value."""
    if parameter.type == "integer":
        return isinstance(value, int) and parameter.low <= value <= parameter.high
    return value in parameter.values
