"""How good a trained model is on rows that it was not trained on: `python -m trainer.evaluate --model DIR …`.

The exported model predicts raw rows: those of --input, else of the test table, else of the eval split. Beside the model's
folder, `evaluation/` gets evaluation.json and report.html.
"""

import argparse
import csv
import hashlib
import shutil
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer import features, prepare
from trainer.data.raw_rows import BATCH_ROWS, Batch
from trainer.data.schema import Schema, nearest, read_schema
from trainer.data.statistics import Statistics, parsed, prepared_fingerprint
from trainer.data.table_files import TABLES, NoTable, files_of
from trainer.evaluation import measures
from trainer.evaluation.held_out import WHOLE, held_out_rows
from trainer.evaluation.measures import SEARCHED_ROWS
from trainer.evaluation.page import page
from trainer.evaluation.page import shown as shown_number
from trainer.predict import Model
from trainer.preprocessing.provenance import Request, stale_reasons
from trainer.publish import check_scores
from trainer.run.console import Console, shown_path
from trainer.run.errors import UserError, exit_code, shown
from trainer.run.outputs import EVALUATION, ROW_LOSSES, read_json, write_json
from trainer.serving import SCORES, STATISTICS

PAGE = "report.html"
FEWEST_ROWS, MOST_SHOWN = 2, 3


def parser() -> argparse.ArgumentParser:
    parser = prepare.parser()
    parser.prog, parser.description = "python -m trainer.evaluate", __doc__
    add = parser.add_argument
    add("--model", type=Path, required=True, help="folder of an exported model")
    add("--input", type=Path, help="rows with labels, instead of the test table and the eval split")
    add("--by", action="append", default=[], metavar="COLUMNS", help="to slice by, by commas")
    return parser


def main(arguments: Sequence[str]) -> int:
    options = parser().parse_args(arguments)
    console, schema = Console(options.quiet, options.verbose), read_schema(features)
    by = slice_columns(options.by, schema)
    model, statistics = loaded(options.model, schema)
    request, source = table_of(options, schema, statistics)
    console.line(f"evaluate {shown_path(options.model)} on the {source['text']}")
    # So that preparation keeps an ignored column, too; the order of columns plays no part in the split.
    kept = {name: "categorical" for name in by if schema.columns[name] == "ignore"}
    try:
        wide = replace(schema, columns=schema.columns | kept)
        split = source["rows_of"] if request.eval_share < WHOLE else "eval"
        rows = held_out_rows(request, wide, statistics.label, console, split)
    except NoTable as error:
        remedy = "correct --input" if options.input else error.remedy
        raise UserError(str(error), TABLES, remedy) from error
    labels = labels_of(rows.column(schema.label).to_pylist(), schema, statistics, request.train)
    predictor, task = Predictor(model, rows, schema), schema.task
    predictions = predictor.predicted(predictor.columns)
    console.line("evaluate intervals and importances")
    constant = constant_predictions(statistics, len(labels), task)
    document = {
        "model": shown_path(options.model),
        # Rows are in the order of their keys, so that other rows have other labels somewhere.
        "source": {**source, "rows_id": hashlib.sha256(labels.tobytes()).hexdigest()},
        "task": task,
        "rows": len(labels),
        "metric": measures.MAIN[task],
        "metrics": measures.with_intervals(task, labels, predictions, constant),
        **measures.details(task, labels, predictions, statistics.label.classes),
        "slices": {
            name: measures.sliced(task, labels, predictions, rows.column(name).to_pylist())
            for name in by
        },
        "worse_slices": measures.worse_slices(
            task,
            labels[:SEARCHED_ROWS],
            predictions[:SEARCHED_ROWS],
            {name: rows.column(name)[:SEARCHED_ROWS].to_pylist() for name in schema.used},
        ),
        "importance": measures.importance(task, labels, schema.used, predictor.shuffled),
    }
    folder = options.model.parent / Path(EVALUATION).parent
    losses = measures.losses(task, labels, predictions)
    write(folder, document, page(document, labels, predictions), losses)
    report(document, folder, console)
    return 0


def loaded(folder: Path, schema: Schema) -> tuple[Model, Statistics]:
    """Return a model and the statistics of its training rows; raise `UserError` if it has other columns than the schema."""
    held = read_json(folder / STATISTICS)
    if not held:
        what, expected = f"{folder} has no {STATISTICS}", "a model that this version has trained"
        raise UserError(what, expected, "run `nox -s local_train` first")
    model = Model(folder, (), False, Console(quiet=True))
    if differing := sorted(model.parameters.keys() ^ {*schema.used}):
        raise UserError(
            f"{folder} and trainer/features.py have different columns: {', '.join(differing)}",
            "the columns that the model was trained on",
            f"restore {shown_path(folder.parent)}/record/features.py, or train again",
        )
    return model, parsed(held)


def slice_columns(given: Sequence[str], schema: Schema) -> list[str]:
    names = [*dict.fromkeys(chain(*csv.reader(given, skipinitialspace=True)))]
    for name in (name for name in names if name not in schema.columns):
        expected = f"one of {', '.join(schema.columns)}"
        remedy = nearest(name, schema.columns, "correct --by")
        raise UserError(f"--by names {shown(name)}, which is no column", expected, remedy)
    return names


def table_of(
    options: argparse.Namespace, schema: Schema, statistics: Statistics
) -> tuple[Request, dict[str, Any]]:
    """Return which table the rows are of, as one whose `eval` split they are, and how the outputs call them."""
    request = prepare.request_of(options)
    if whole := options.input or options.test:
        if not files_of(whole)[1]:
            raise UserError(f"there is no file {whole}", TABLES, "correct its name")
        name = "input" if options.input else "test"
        text = f"{name} table {shown_path(whole)}: it had no part in the choice of the run"
        source = {"rows_of": name, "file": str(whole), "chose_the_run": False, "text": text}
        request = replace(request, train=whole.resolve(), eval_share=WHOLE, split="random")
        return request, source
    reasons = stale_reasons(request, schema)
    if prepared_fingerprint(request.output) != statistics.fingerprint:
        reasons = ["the model was trained on other data", *reasons]
    if reasons:
        raise UserError(
            f"{shown_path(request.output)} does not hold the data of the model ({reasons[0]})",
            "the split that the model was trained with, so that no row of it is evaluated",
            "restore the table and trainer/features.py, train again, or name other rows with --input",
        )
    if request.rule[0] == "column" and "test" in statistics.rows:
        text = f"test rows by {shown(request.rule[1])}: they had no part in the choice of the run"
        source = {"rows_of": "test", "file": str(request.train), "chose_the_run": False}
        return request, {**source, "text": text}
    text = "eval split: it chose the weights of the run, so that its metrics may be too good"
    source = {"rows_of": "eval", "file": str(request.train), "chose_the_run": True, "text": text}
    return request, source


def labels_of(
    texts: Sequence[str], schema: Schema, statistics: Statistics, table: Path
) -> npt.NDArray[Any]:
    """Return the labels as class codes, int64 [rows], or numbers, float64 [rows]; raise `UserError` for too few."""
    name = shown_path(table)
    if len(texts) < FEWEST_ROWS:
        what = f"{name} has {len(texts)} row(s) with a label that can be evaluated"
        raise UserError(what, f"at least {FEWEST_ROWS}", "name a larger table with --input")
    if schema.task == "regression":
        return np.array(texts, np.float64)
    if len({*texts}) < 2:
        what = f"all {len(texts):,} rows of {name} are of the class {shown(texts[0])}"
        raise UserError(what, "rows of two classes or more", "name another table with --input")
    codes = {value: code for code, value in enumerate(statistics.label.classes)}
    return np.array([codes[each] for each in texts], np.int64)


class Predictor:
    """An exported model on some raw rows, an Arrow table with the columns of the schema."""

    def __init__(self, model: Model, rows: Any, schema: Schema) -> None:
        self.model, self.schema = model, schema
        self.columns = {name: rows.column(name).combine_chunks() for name in schema.used}

    def shuffled(self, cells: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Return the predictions for rows whose cells are those of the numbers in `cells`, [rows, columns]."""
        pairs = zip(self.columns.items(), cells.T, strict=True)
        return self.predicted({name: column.take(numbers) for (name, column), numbers in pairs})

    def predicted(self, columns: Mapping[str, Any]) -> npt.NDArray[np.float64]:
        """Return probabilities, float64 [rows, classes], or numbers, [rows]; raise `UserError` if they are none."""
        names, rows = tuple(columns), len(next(iter(columns.values())))

        def scores(first: int) -> Any:
            some = {name: column.slice(first, BATCH_ROWS) for name, column in columns.items()}
            all_names = [names] * min(BATCH_ROWS, rows - first)
            batch = Batch("rows", first + 1, all_names, some, self.schema.decimal)
            column = self.model.table(batch).column(SCORES[self.schema.task])
            # Probabilities of several classes are lists.
            return np.stack(column.to_numpy()) if column.type.num_fields else column.to_numpy()

        with ThreadPoolExecutor(self.model.workers) as pool:
            found = np.concatenate([*pool.map(scores, range(0, rows, BATCH_ROWS))]).astype(float)
        check_scores(found, self.schema)
        if self.schema.task == "binary":
            return np.stack([1 - found, found], axis=1)
        # float32 sums to 1 only nearly
        return found / found.sum(axis=1, keepdims=True) if found.ndim > 1 else found


def constant_predictions(statistics: Statistics, rows: int, task: str) -> npt.NDArray[np.float64]:
    """Return the class frequencies, or the mean, of the training rows for each row."""
    if task == "regression":
        return np.full(rows, statistics.label.mean)
    counts = np.array(statistics.label.counts, np.float64)
    return np.tile(counts / counts.sum(), (rows, 1))


def write(
    folder: Path, document: Mapping[str, Any], text: str, losses: npt.NDArray[np.float64]
) -> None:
    """Replace an evaluation by a complete one."""
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    (partial / PAGE).write_text(text, encoding="utf-8")
    losses.astype(np.float32).tofile(partial / Path(ROW_LOSSES).name)
    write_json(partial / Path(EVALUATION).name, document)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def report(document: Mapping[str, Any], folder: Path, console: Console) -> None:
    table = [("rows", f"{document['rows']:,}; {document['source']['text']}")]
    for name, each in document["metrics"].items():
        value, low, high, constant = map(shown_number, each.values())
        table.append((name, f"{value}  ({low} to {high}; {constant} for always the same)"))
    first = [*document["importance"]][:MOST_SHOWN]
    table += [("columns", f"{', '.join(first)} matter most"), ("report", shown_path(folder / PAGE))]
    console.line("")
    console.table(table)


if __name__ == "__main__":
    sys.exit(exit_code(main, sys.argv[1:]))
