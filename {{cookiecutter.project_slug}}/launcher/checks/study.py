"""What is wrong with a study, before a trial is started. Pure.

Source: https://cloud.google.com/vertex-ai/docs/reference/rest/v1/StudySpec
"""

from collections.abc import Iterator
from itertools import pairwise

from launcher.checks.problem import Problem, findings_at
from launcher.console import UserError, nearest, shown
from launcher.spec.catalog import google_cloud, kind_of
from launcher.spec.job_file import LAUNCHER_FLAGS, Job, flag_name
from launcher.spec.study import RANGES, Parameter, Study, Value


def study_findings(job: Job) -> list[UserError]:
    study = job.study
    if study is None:
        return []
    findings = findings_at("job.toml [study] ", option_problems(study))
    for name, parameter in study.parameters.items():
        check = range_problems if parameter.type in RANGES else list_problems
        problems = [*name_problems(name), *scale_problems(parameter), *check(parameter)]
        problems += condition_problems(name, study) if parameter.parent else []
        findings += findings_at(f"job.toml [study.parameters.{name}] ", problems)
    return findings


def tier_findings(job: Job) -> list[UserError]:
    if kind_of(job.tier()) != "tpu":
        return []
    expected = "CPUs or GPUs: hyperparameter tuning does not run on TPUs"
    what = f"the scale tier {job.cloud.scale_tier} has TPUs"
    return [UserError(what, expected, "name another --scale-tier")]


def option_problems(study: Study) -> Iterator[Problem]:
    options, doubles = study.options, [n for n, p in study.parameters.items() if p.type == "double"]
    if len(options.metric.split()) > 1:
        yield f"metric is {shown(options.metric)}", "a name without spaces", "correct it"
    if options.goal and not options.metric:
        yield "has a goal and no metric", "both, or neither for the trainer's own", "add metric"
    for key, least in (("trials", 1), ("parallel_trials", 1), ("failed_trials", 0)):
        value = getattr(options, key)
        if value < least:
            yield f"{key} is {value}", f"an integer >= {least}", "correct it"
    if options.parallel_trials > options.trials > 0:
        expected = f"at most the number of trials, {options.trials}"
        yield f"parallel_trials is {options.parallel_trials}", expected, "lower it, or raise trials"
    if not study.parameters:
        expected = "a section [study.parameters.NAME] for each flag that varies"
        yield "has no parameters", expected, "add one"
    if options.algorithm == "grid" and doubles:
        expected = "integer, discrete or categorical parameters for a grid"
        fix = "list its values as discrete, or choose another algorithm"
        yield f"algorithm is grid, and {doubles[0]} is double", expected, fix


def name_problems(name: str) -> Iterator[Problem]:
    if flag_name(name) in LAUNCHER_FLAGS or name.split() != [name]:
        expected = "a flag of trainer.task other than --data-dir and --job-dir"
        yield "cannot vary", expected, "remove it"


def scale_problems(parameter: Parameter) -> Iterator[Problem]:
    what = f"scale is {parameter.scale}"
    least = min((each for each in parameter.samples() if not isinstance(each, str)), default=1)
    if parameter.scale != "linear" and parameter.type == "categorical":
        yield what, "none for text", "remove it"
    elif parameter.scale != "linear" and least <= 0:
        fix = 'raise it, or write scale = "linear"'
        yield f"{what}, and its least value is {least:g}", "values above 0 for a logarithm", fix


def range_problems(parameter: Parameter) -> Iterator[Problem]:
    what = f"min is {parameter.low:g} and max {parameter.high:g}"
    if parameter.type == "integer" and float in map(type, parameter.samples()):
        yield what, "integers", "correct them"
    if parameter.low >= parameter.high:
        yield what, "a min below the max", "correct them"


def list_problems(parameter: Parameter) -> Iterator[Problem]:
    limits, values = google_cloud()["study"], parameter.values
    least = limits["discrete_value_distance"]
    what = f"values is {shown(list(values))}"
    texts = [value for value in values if isinstance(value, str)]
    if not values or len(set(values)) < len(values):
        yield what, "one or more, each once", "correct it"
    if parameter.type == "categorical":
        if len(texts) < len(values):
            fix = 'put them in quotes, or write type = "discrete"'
            yield what, "texts for categorical", fix
        return
    if texts:
        yield f"values has {shown(texts[0])}", "numbers for discrete", "correct it"
    elif any(float(after) - float(before) < least for before, after in pairwise(values)):
        yield what, "numbers that rise", "put them in order"
    if len(values) > limits["discrete_values"]:
        yield f"has {len(values)} values", f"at most {limits['discrete_values']}", "list fewer"


def condition_problems(name: str, study: Study) -> Iterator[Problem]:
    parameter = study.parameters[name]
    wanted, parent = parameter.parent, study.parameters.get(parameter.parent)
    *_, origin = study.lineage(name)
    if parent is None:
        guess = nearest(wanted, {*study.parameters} - {name})
        fix = f"write {guess}" if guess else "correct it"
        yield f"when names {shown(wanted)}", "another parameter of the study", fix
    elif study.parameters[origin].parent:
        yield "when leads back to itself", "a parameter that is always there", "correct it"
    elif parent.type == "double":
        expected = "an integer, discrete or categorical parameter"
        yield f"when names {wanted}, a double", expected, "list its values as discrete"
    elif strangers := [value for value in parameter.parent_values if not may_be(parent, value)]:
        yield f"when has {shown(strangers[0])}", f"values of {wanted}", "correct it"


def may_be(parameter: Parameter, value: Value) -> bool:
    if parameter.type == "integer":
        return isinstance(value, int) and parameter.low <= value <= parameter.high
    return value in parameter.values
