"""Optuna's part of a local study: the values of each trial, early stopping, and the outcomes.

The study is stored in SQLite, so a killed one is resumed. Optuna is imported where it is needed.
"""

import itertools
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from launcher.spec.study import Outcome, Parameter, Study, Value
from launcher.spec.tuning_job import trial_flags

STARTUP_TRIALS = 5
"""How many trials run to their end before one is compared with their median."""
VALUES = "values"


def load_optuna() -> Any:
    """Import Optuna, without its log lines and warnings about every trial."""
    import optuna

    warnings.filterwarnings("ignore", module=r"(optuna|numpy)\.")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def open_study(study: Study, path: Path) -> Any:
    optuna = load_optuna()
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    optuna_study = optuna.create_study(
        storage=storage, study_name="study", direction=study.options.goal, load_if_exists=True
    )
    # A sampler that started again with the same seed would propose the same values again.
    seed = 1 + len(optuna_study.get_trials(deepcopy=False))
    optuna_study.sampler = sampler_of(optuna, study, seed)
    # The median rule stands for whichever rule the service is asked for.
    stops, pruners = study.options.early_stopping != "none", optuna.pruners
    optuna_study.pruner = pruners.MedianPruner(STARTUP_TRIALS) if stops else pruners.NopPruner()
    return optuna_study


def sampler_of(optuna: Any, study: Study, seed: int) -> Any:
    """Return what chooses the values: the tree-structured Parzen estimator stands for the service's own algorithm."""
    if study.options.algorithm == "bayesian":
        return optuna.samplers.TPESampler(seed=seed)
    return optuna.samplers.RandomSampler(seed=seed)


def propose_values(trial: Any, study: Study) -> dict[str, Value]:
    """Return the values of a trial: one of every parameter whose condition holds."""
    if study.options.algorithm == "grid":
        return next(itertools.islice(grid(study), trial.number, None))
    chosen: dict[str, Value] = {}
    for name in study.in_order():
        if is_part(study.parameters[name], chosen):
            chosen[name] = suggest(trial, name, study.parameters[name])
    return chosen


def is_part(parameter: Parameter, chosen: Mapping[str, Value]) -> bool:
    return not parameter.parent or chosen.get(parameter.parent) in parameter.parent_values


def suggest(trial: Any, name: str, parameter: Parameter) -> Value:
    """Return a value of one parameter. What Optuna has no scale for is turned into what it has."""
    if parameter.type == "categorical":
        return str(trial.suggest_categorical(name, list(parameter.values)))
    if parameter.type == "discrete":
        index: int = trial.suggest_int(name, 0, len(parameter.values) - 1)
        return parameter.values[index]
    low, high, log = parameter.low, parameter.high, parameter.scale != "linear"
    if parameter.type == "integer":
        number: float = trial.suggest_int(name, int(low), int(high), log=log)
    else:
        number = trial.suggest_float(name, low, high, log=log)
    mirrored = low + high - number if parameter.scale == "reverse_log" else number
    return int(mirrored) if parameter.type == "integer" else mirrored


def grid(study: Study) -> Iterator[dict[str, Value]]:
    """Yield every combination of values, the last parameter's changing fastest."""
    combinations: Iterator[dict[str, Value]] = iter([{}])
    for name in study.in_order():
        combinations = extended(combinations, name, study.parameters[name])
    return combinations


def extended(
    combinations: Iterator[dict[str, Value]], name: str, parameter: Parameter
) -> Iterator[dict[str, Value]]:
    for chosen in combinations:
        if is_part(parameter, chosen):
            yield from ({**chosen, name: value} for value in grid_values(parameter))
        else:
            yield chosen


def grid_values(parameter: Parameter) -> Sequence[Value]:
    if parameter.type == "integer":
        return range(int(parameter.low), int(parameter.high) + 1)
    return parameter.values


def outcomes(optuna_study: Any) -> list[Outcome]:
    """Return every trial that has its values, in order."""
    states = {"COMPLETE": "complete", "PRUNED": "stopped", "FAIL": "failed"}
    return [
        Outcome(
            number=trial.number + 1,
            state=states.get(trial.state.name, "running"),
            value=trial.value if trial.state.name == "COMPLETE" else None,
            values=dict(trial.user_attrs[VALUES]),
            flags=tuple(trial_flags(trial.user_attrs[VALUES])),
        )
        for trial in optuna_study.get_trials(deepcopy=False)
        if VALUES in trial.user_attrs
    ]
