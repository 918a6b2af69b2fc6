"""`nox -s predict`: predict rows with a trained model."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from launcher.commands.session import Session
from launcher.console import UserError
from launcher.contract import EXAMPLES, PREDICT_MODULE
from launcher.results import chosen_model
from launcher.runs import newest_model

TOLERANCE = 1e-4
KnownRows = Sequence[tuple[Any, Mapping[str, Any]]]
"""Instances, each with the prediction of the model on this machine."""


def model_of(session: Session) -> Path:
    """Return the folder of the model that --model or --run names, else the newest run's."""
    project, options = session.project, session.options
    if options.run:
        session.refuse_beside("run", ("model",), "one of the two")
        return chosen_model(project.runs, options.run, session.job.study)
    return Path(project.absolute(options.model)) if options.model else newest_model(project.runs)


def examples_of(session: Session) -> Path:
    examples = Path(session.project.absolute(session.job.data.prepared), EXAMPLES)
    if not examples.is_file():
        expected = "the rows that preparing the data sets aside"
        fix = "run nox -s prepare first, or name a file with --input"
        raise UserError(f"{examples} does not exist", expected, fix)
    return examples


def predict(session: Session) -> int:
    project, options = session.project, session.options
    if options.url:
        session.refuse_beside("url", ("model", "run"), "one of the two")
        where, source = ["--url", options.url], options.url
    else:
        model = model_of(session)
        where, source = ["--model", str(model)], project.shown_path(model)
    rows = project.absolute(options.input) if options.input else str(examples_of(session))
    session.console.step("predict", f"{source}, rows of {project.shown_path(rows)}")
    quiet = ["-q"] * session.options.quiet
    arguments = [*where, "--input", rows, *quiet, *session.arguments]
    return session.run_module(project.training, PREDICT_MODULE, *arguments)


def known_rows(session: Session, model: Path) -> KnownRows:
    examples = examples_of(session)
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "known.jsonl")
        arguments = ["--model", str(model), "--input", str(examples), "--output", str(output)]
        if session.run_module(session.project.training, PREDICT_MODULE, "-q", *arguments):
            raise UserError("the model predicts nothing here", "a model", "see the error above")
        return list(zip(lines_of(examples), lines_of(output), strict=True))


def lines_of(path: Path) -> list[Any]:
    # Not splitlines: a cell may hold what it takes for an end of line.
    with path.open(encoding="utf-8", newline="\n") as file:
        return [*map(json.loads, file)]


def first_difference(known: KnownRows, predictions: Sequence[Mapping[str, Any]]) -> str:
    if len(predictions) != len(known):
        return f"returns {len(predictions)} predictions of {len(known)} known rows"
    for number, ((_, expected), found) in enumerate(zip(known, predictions, strict=True), 1):
        for name, value in expected.items():
            if not is_close(found.get(name), value):
                return f"predicts {found.get(name)!r:.40} for known row {number}, not {value!r:.40}"
    return ""


def is_close(found: Any, expected: Any) -> bool:
    if isinstance(expected, list):
        same = isinstance(found, list) and len(found) == len(expected)
        return same and all(map(is_close, found, expected))
    if isinstance(expected, float) and isinstance(found, (int, float)):
        return abs(found - expected) <= TOLERANCE * max(1.0, abs(expected))
    return bool(found == expected)
