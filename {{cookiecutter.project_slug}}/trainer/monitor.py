"""Whether rows are like those that a model was trained on: `python -m trainer.monitor --model DIR --input FILE`.

The exit code is 3 if a column or the predictions drifted. Rows that have a label also give the metric.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from trainer import features
from trainer.arguments import fraction
from trainer.data.schema import read_schema
from trainer.data.statistics import Statistics
from trainer.data.table_files import TABLES, NoTable
from trainer.data.thresholds import DEFAULT
from trainer.evaluate import loaded
from trainer.evaluation import measures
from trainer.evaluation.drift import THRESHOLD, VALUES, compared, drift
from trainer.evaluation.held_out import WHOLE, HeldOut
from trainer.evaluation.page import shown as shown_number
from trainer.predict import Model, listed
from trainer.preprocessing.provenance import Request
from trainer.publish import check_scores
from trainer.run.console import Console
from trainer.run.errors import EXIT_DRIFT, UserError, exit_code, shown
from trainer.run.outputs import METRICS, read_json
from trainer.serving import SCORES, threshold_of

LINE = "  {:<28}{:>9}{:>9}{:>9}{:>9}{:>9}"
SHARES = ("missing", "training_missing", "unseen")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m trainer.monitor", description=__doc__)
    add = parser.add_argument
    add("--model", type=Path, required=True, help="folder of an exported model")
    add("--input", type=Path, required=True, help=TABLES)
    add("--threshold", type=fraction, default=THRESHOLD, help=f"of drift; {THRESHOLD} by default")
    add("--json", action="store_true", help="print the result as JSON on standard output")
    add("-q", "--quiet", action="store_true", help="only warnings and errors")
    options = parser.parse_args(arguments)
    document = monitored(options, Console(options.quiet or options.json))
    if options.json:
        print(json.dumps(document, ensure_ascii=False))
    return EXIT_DRIFT if document["drifted"] or document["predictions"]["drifted"] else 0


class Watched(Model):
    """A model that keeps the cells of its rows as `drift` takes them."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.cells: dict[str, list[Any]] = {name: [] for name in self.parameters}

    def compare(self, name: str, counts: Any, texts: Sequence[str]) -> None:
        import tensorflow as tf

        from trainer.training.text_cells import read

        schema = self.reading.schema
        if name in schema.numeric:
            different = read(tf.constant(texts), name, schema).numpy()
        else:
            different = np.array([*map(schema.value, texts)], object)
        self.cells[name].append(np.repeat(different, counts))


def monitored(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Show how the rows differ from those of training, and return it: docs/serving.md of the template lists the keys."""
    schema = read_schema(features)
    model, statistics = loaded(Watched, options.model, schema, console)
    tables = (table.column(SCORES[schema.task]) for table in model.predicted(options.input))
    scores = np.concatenate([np.array(column.to_pylist()) for column in tables])
    check_scores(scores, schema)
    cells = {name: np.concatenate(parts) for name, parts in model.cells.items()}
    found = drift(statistics, cells.items(), options.threshold)
    for name in schema.raw.texts:
        missing = float(np.mean([cell is None for cell in cells[name]]))
        found[name] = {"drifted": False, **dict.fromkeys(SHARES), "missing": missing}
    predictions = of_predictions(scores, statistics, options.threshold)
    drifted = [name for name, each in found.items() if each["drifted"]]
    show([*found.items(), ("(predictions)", predictions)], console)
    if far := drifted + ["predictions"] * predictions["drifted"]:
        console.warning(f"drift beyond {options.threshold} and chance: {listed(far)}")
    model.report()
    document = {"rows": len(scores), "threshold": options.threshold, "drifted": drifted}
    labels = of_labels(model, statistics, options)
    return {**document, "columns": found, "predictions": predictions, **labels}


def of_predictions(scores: Any, statistics: Statistics, threshold: float) -> dict[str, Any]:
    """Return how far the mean probabilities are from the shares of the classes in training, or the mean from theirs, in deviations."""
    label = statistics.label
    counts: tuple[Any, Any] = (statistics.rows["train"],), (len(scores),)
    if label.classes:
        by_class = scores if scores.ndim > 1 else np.stack([1 - scores, scores], axis=1)
        counts = label.counts, by_class.sum(axis=0)
    trained, rows = (np.array([0, *each]) for each in counts)
    found = compared(trained, rows, None, VALUES, threshold)
    distance, limit = found[VALUES], found["limit"]
    if not label.classes:
        distance = abs(float(scores.mean()) - label.mean) / (label.deviation or 1)
    return {"drifted": (distance or 0) > limit, "limit": limit, "distance": distance}


def of_labels(model: Model, statistics: Statistics, options: argparse.Namespace) -> dict[str, Any]:
    """Return the measures of the rows that have a label, with intervals and those of the run."""
    schema, nothing = model.reading.schema, {"labels": 0, "metrics": {}}
    if not model.having[schema.label]:
        return nothing
    columns = {k: v for k, v in schema.columns.items() if v != "ignore" or model.having[k]}
    weight = (statistics.weight or {}).get("column", "")
    request = Request(options.input.resolve(), None, Path(), WHOLE, 1.0, False, memory_mb=2048)
    request = replace(request, weight=weight if model.having[weight] else "")
    try:
        held_out = HeldOut(model, statistics, request, replace(schema, columns=columns))
    except (UserError, NoTable) as error:
        model.console.warning(f"no metric: {error}")
        return nothing
    own = threshold_of(options.model)
    others = {"run": read_json(options.model.parent / METRICS) or {}}
    found = measures.with_intervals(held_out.scored, others, DEFAULT if own is None else own)
    main = measures.MAIN[schema.task]
    texts = map(shown_number, found[main].values())
    model.console.line("  {} {} ({} to {}), of the run {}".format(main, *texts))
    return {"labels": len(held_out.scored), "metrics": found}


def show(found: Iterable[tuple[str, dict[str, Any]]], console: Console) -> None:
    """Show a table of at most 80 letters; `before` is the share that was missing in training."""
    console.line(LINE.format("", "distance", "limit", "missing", "before", "unseen"))
    for name, each in found:
        numbers = map(each.get, ("distance", "limit", *SHARES))
        texts = ["-" if number is None else f"{number:.3f}" for number in numbers]
        console.line(LINE.format(shown(name, 29)[1:-1], *texts))


if __name__ == "__main__":
    sys.exit(exit_code(main, sys.argv[1:]))
