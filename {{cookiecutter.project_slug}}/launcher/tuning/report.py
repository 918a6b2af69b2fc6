"""The result of a study: a table, study.json, best.toml, plots, and one page that holds them."""

import base64
import html
import json
import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from launcher.console import Console, aligned
from launcher.files import write_atomically
from launcher.spec.study import RANGES, Outcome, Parameter, Study
from launcher.tuning.optuna_sampler import load_optuna
from launcher.tuning.search import DEFAULTS

PLOTS = {
    "history": "plot_optimization_history",
    "parameters": "plot_parallel_coordinate",
    "importances": "plot_param_importances",
}
FEWEST_FOR_PLOTS = 2
HEAD = """<!doctype html>
<meta charset=utf-8><title>Study</title>
<style>body{font:16px sans-serif;max-width:60em;margin:2em auto}img{max-width:100%}</style>
<h1>Study</h1>
"""


def write(
    folder: Path,
    study: Study,
    outcomes: Sequence[Outcome],
    default: float | None,
    console: Console,
    statistics: Mapping[str, Any] | None = None,
    drawn: bool = True,
) -> Outcome | None:
    """Write everything into the study's folder, print the table and the comparison, and return the best trial.

    The statistics are those of the prepared data. Unless `drawn`, there are no plots, which need libraries of their own.
    """
    best_first = ranked(outcomes, study.options.goal)
    best = next((each for each in best_first if each.value is not None), None)
    rows = table(study, best_first, default)
    console.table(rows[0], rows[1:])
    document = {
        "metric": study.options.metric,
        "goal": study.options.goal,
        "defaults": default,
        "best": best and best.number,
        "trials": [as_json(each) for each in outcomes],
    }
    write_atomically(folder / "study.json", json.dumps(document, indent=1) + "\n")
    if best is None:
        console.warning("no trial has a result, so there is nothing to compare")
        return None
    # JSON's texts and numbers are TOML's as well.
    values = {name: json.dumps(value, ensure_ascii=False) for name, value in best.values.items()}
    arguments = [f"{name} = {value}\n" for name, value in values.items()]
    (folder / "best.toml").write_text("".join(["[arguments]\n", *arguments]), encoding="utf-8")
    images = draw(folder, study, outcomes) if drawn else []
    text = comparison(study, best, default, statistics or {})
    (folder / "report.html").write_text(page(text, rows, images), encoding="utf-8")
    console.step("best", text)
    console.step("report", f"{folder / 'report.html'}; best.toml has the arguments for job.toml")
    return best


def comparison(
    study: Study, best: Outcome, default: float | None, statistics: Mapping[str, Any]
) -> str:
    metric, value = study.options.metric, best.value or 0.0
    text = f"trial {best.number}: {metric} {value:.4f}"
    if default is None:
        return f"{text}; no run with the defaults to compare with"
    ahead = value > default if study.options.goal == "maximize" else value < default
    text += f", {'better than' if ahead else 'not better than'} {default:.4f} of the defaults"
    error = standard_error(metric, value, statistics)
    if ahead and abs(value - default) <= error:
        text += f", but within one standard error ({error:.4f}): it may be chance"
    return text


def standard_error(metric: str, value: float, statistics: Mapping[str, Any]) -> float:
    """Return the standard error of a metric on the evaluation rows, 0 if it is not known.

    Source for auc: Hanley and McNeil 1982, https://doi.org/10.1148/radiology.143.1.7063747
    """
    rows = statistics.get("rows", {}).get("eval", 0)
    counts = statistics.get("label", {}).get("counts", ())
    if metric == "accuracy" and rows:
        return math.sqrt(max(0.0, value * (1 - value)) / rows)  # one in percent has no known error
    if metric == "rmse" and rows:  # of errors with a normal distribution
        return value / math.sqrt(2 * rows)
    if metric != "auc" or len(counts) != 2 or not rows * min(counts):
        return 0.0
    fewer, more = (rows * count / sum(counts) for count in sorted(counts))
    variance = value * (1 - value) + (fewer - 1) * (value / (2 - value) - value**2)
    variance += (more - 1) * (2 * value**2 / (1 + value) - value**2)
    return math.sqrt(max(0.0, variance / (fewer * more)))


def ranked(outcomes: Sequence[Outcome], goal: str) -> list[Outcome]:
    """Return the trials, the best first, those without a result last."""
    sign = -1.0 if goal == "maximize" else 1.0
    return sorted(
        outcomes, key=lambda each: (each.value is None, sign * (each.value or 0.0), each.number)
    )


def table(study: Study, outcomes: Sequence[Outcome], default: float | None) -> list[list[str]]:
    """Return the trials as rows of text, after the defaults; failed ones are included."""
    first = [] if default is None else [Outcome(int(DEFAULTS), "defaults", default, {}, ())]
    cells = [
        [each.number, each.state, each.value, *map(each.values.get, study.parameters)]
        for each in (*first, *outcomes)
    ]
    headings = ["trial", "state", study.options.metric, *study.parameters]
    return [headings, *([*map(shown, row)] for row in cells)]


def shown(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def as_json(outcome: Outcome) -> dict[str, Any]:
    names = {"number": "trial"}
    return {names.get(name, name): value for name, value in vars(outcome).items()}


def draw(folder: Path, study: Study, outcomes: Sequence[Outcome]) -> list[Path]:
    """Draw the history, the trials by their parameters, and how much each parameter matters, as PNG files."""
    if sum(each.value is not None for each in outcomes) < FEWEST_FOR_PLOTS:
        return []
    import matplotlib

    matplotlib.use("Agg")
    import optuna.visualization.matplotlib as plots

    optuna_study = as_optuna(study, outcomes)
    paths = []
    for name, function in PLOTS.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # they are about Optuna's own plans
                figure = getattr(plots, function)(optuna_study).get_figure()
        except (ValueError, RuntimeError):  # too few trials, or all alike
            continue
        figure.set_size_inches(9, 5)
        paths.append(folder / f"{name}.png")
        figure.savefig(paths[-1], dpi=100, bbox_inches="tight")
    return paths


def as_optuna(study: Study, outcomes: Sequence[Outcome]) -> Any:
    """Return the trials as a study of Optuna whose parameters have their own values.

    Optuna numbers trials in the order that they are added, from 0, which here are the defaults.
    """
    optuna = load_optuna()
    optuna_study = optuna.create_study(direction=study.options.goal)
    failed = optuna.create_trial(state=optuna.trial.TrialState.FAIL)
    by_number = {each.number: each for each in outcomes if each.value is not None}
    for number in range(max(by_number) + 1):
        outcome = by_number.get(number)
        optuna_study.add_trial(as_trial(optuna, study, outcome) if outcome else failed)
    return optuna_study


def as_trial(optuna: Any, study: Study, outcome: Outcome) -> Any:
    return optuna.create_trial(
        params=outcome.values,
        distributions={
            name: distribution(optuna, study.parameters[name]) for name in outcome.values
        },
        value=outcome.value,
    )


def distribution(optuna: Any, parameter: Parameter) -> Any:
    if parameter.type not in RANGES:
        return optuna.distributions.CategoricalDistribution(parameter.values)
    kinds = {"integer": "IntDistribution", "double": "FloatDistribution"}
    kind = getattr(optuna.distributions, kinds[parameter.type])
    return kind(parameter.low, parameter.high, log=parameter.scale == "log")


def page(text: str, rows: Sequence[Sequence[str]], images: Sequence[Path]) -> str:
    """Return one page with the result, the plots and the table; it needs no other file."""
    pictures = "".join(
        f'<h2>{path.stem.capitalize()}</h2><img alt="{path.stem}" src="data:image/png;base64,'
        f'{base64.b64encode(path.read_bytes()).decode()}">\n'
        for path in images
    )
    trials = f"<h2>Trials</h2><pre>{html.escape(aligned(rows))}</pre>\n"
    return f"{HEAD}<p>{html.escape(text)}</p>\n{pictures}{trials}"
