"""The result of a study: a table, study.json, best.toml, plots, and one page that holds them."""

import base64
import html
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from launcher.console import Console
from launcher.files import write_atomically
from launcher.spec.study import RANGES, Outcome, Parameter, Study
from launcher.spec.toml_file import toml_value
from launcher.tuning.optuna_sampler import load_optuna
from launcher.tuning.search import DEFAULTS, best_of

PLOTS = {
    "history": "plot_optimization_history",
    "parameters": "plot_parallel_coordinate",
    "importances": "plot_param_importances",
}
FEWEST_FOR_PLOTS = 2
STYLE = "body{font:16px sans-serif;max-width:60em;margin:2em auto}td,th{padding:.2em .8em;text-align:left}img{max-width:100%}"


def write(
    folder: Path,
    study: Study,
    outcomes: Sequence[Outcome],
    default: float | None,
    console: Console,
    drawn: bool = True,
) -> Outcome | None:
    """Write everything into the study's folder, print the table and the comparison, and return the best trial.

    Unless `drawn`, there are no plots, which need libraries of their own.
    """
    best = best_of(outcomes, study.options.goal)
    rows = table(study, outcomes, default)
    console.table(rows[0], rows[1:])
    document = as_json(study, outcomes, best, default)
    write_atomically(folder / "study.json", json.dumps(document, indent=1) + "\n")
    if best is None:
        console.warning("no trial has a result, so there is nothing to compare")
        return None
    arguments = [f"{name} = {toml_value(value)}\n" for name, value in best.values.items()]
    (folder / "best.toml").write_text("".join(["[arguments]\n", *arguments]), encoding="utf-8")
    images = draw(folder, study, outcomes) if drawn else []
    (folder / "report.html").write_text(page(study, rows, best, default, images), encoding="utf-8")
    console.step("best", comparison(study, best, default))
    console.step("report", f"{folder / 'report.html'}; best.toml has the arguments for job.toml")
    return best


def comparison(study: Study, best: Outcome, default: float | None) -> str:
    metric, value = study.options.metric, best.value or 0.0
    text = f"trial {best.number}: {metric} {value:.4f}"
    if default is None:
        return f"{text}; no run with the defaults to compare with"
    ahead = value > default if study.options.goal == "maximize" else value < default
    return f"{text}, {'better than' if ahead else 'not better than'} {default:.4f} of the defaults"


def table(study: Study, outcomes: Sequence[Outcome], default: float | None) -> list[list[str]]:
    """Return the trials as rows of text, the best first, after the defaults; failed ones are included."""
    sign = -1.0 if study.options.goal == "maximize" else 1.0
    ranked = sorted(
        outcomes, key=lambda each: (each.value is None, sign * (each.value or 0.0), each.number)
    )
    if default is not None:
        ranked.insert(0, Outcome(int(DEFAULTS), "defaults", default, {}, ()))
    cells = [
        [each.number, each.state, each.value, *map(each.values.get, study.parameters)]
        for each in ranked
    ]
    headings = ["trial", "state", study.options.metric, *study.parameters]
    return [headings, *([*map(shown, row)] for row in cells)]


def shown(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def as_json(
    study: Study, outcomes: Sequence[Outcome], best: Outcome | None, default: float | None
) -> dict[str, Any]:
    return {
        "metric": study.options.metric,
        "goal": study.options.goal,
        "defaults": default,
        "best": best.number if best else None,
        "trials": [
            {"trial" if name == "number" else name: value for name, value in vars(each).items()}
            for each in outcomes
        ],
    }


def draw(folder: Path, study: Study, outcomes: Sequence[Outcome]) -> list[Path]:
    """Draw the history, the trials by their parameters, and how much each parameter matters, as PNG files."""
    if sum(each.value is not None for each in outcomes) < FEWEST_FOR_PLOTS:
        return []
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot
    import optuna.visualization.matplotlib as plots

    optuna_study = as_optuna(study, outcomes)
    paths = []
    for name, function in PLOTS.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # they are about Optuna's own plans
                getattr(plots, function)(optuna_study)
        except (ValueError, RuntimeError):  # too few trials, or all alike
            continue
        figure = matplotlib.pyplot.gcf()
        figure.set_size_inches(9, 5)
        paths.append(folder / f"{name}.png")
        figure.savefig(paths[-1], dpi=100, bbox_inches="tight")
        matplotlib.pyplot.close("all")
    return paths


def as_optuna(study: Study, outcomes: Sequence[Outcome]) -> Any:
    """Return the trials with a result as a study of Optuna whose parameters have their own values."""
    optuna = load_optuna()
    optuna_study = optuna.create_study(direction=study.options.goal)
    kinds = {name: distribution(optuna, each) for name, each in study.parameters.items()}
    for each in (each for each in outcomes if each.value is not None):
        params = {
            name: value if study.parameters[name].type in RANGES else str(value)
            for name, value in each.values.items()
        }
        distributions = {name: kinds[name] for name in params}
        trial = optuna.create_trial(params=params, distributions=distributions, value=each.value)
        optuna_study.add_trial(trial)
    return optuna_study


def distribution(optuna: Any, parameter: Parameter) -> Any:
    kinds, log = optuna.distributions, parameter.scale == "log"
    if parameter.type not in RANGES:
        return kinds.CategoricalDistribution([str(value) for value in parameter.values])
    if parameter.type == "integer":
        return kinds.IntDistribution(int(parameter.low), int(parameter.high), log=log)
    return kinds.FloatDistribution(parameter.low, parameter.high, log=log)


def page(
    study: Study,
    rows: Sequence[Sequence[str]],
    best: Outcome,
    default: float | None,
    images: Sequence[Path],
) -> str:
    """Return one page with the result, the plots and the table; it needs no other file."""
    head, *body = rows
    cells = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    lines = "".join(
        f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>\n" for row in body
    )
    pictures = "".join(
        f'<h2>{path.stem.capitalize()}</h2><img alt="{path.stem}" src="data:image/png;base64,'
        f'{base64.b64encode(path.read_bytes()).decode()}">\n'
        for path in images
    )
    return (
        f"<!doctype html>\n<meta charset=utf-8><title>Study</title><style>{STYLE}</style>\n"
        f"<h1>Study</h1><p>{html.escape(comparison(study, best, default))}</p>\n"
        f"{pictures}<h2>Trials</h2><table><tr>{cells}</tr>\n{lines}</table>\n"
    )
