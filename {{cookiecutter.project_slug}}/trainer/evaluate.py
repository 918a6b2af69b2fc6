"""How good a trained model is on rows that it was not trained on: `python -m trainer.evaluate --model DIR …`.

The exported model predicts raw rows: those of --input, else of the test table, else of the eval split. Beside the model's
folder, `evaluation/` gets evaluation.json, report.html and MODEL_CARD.md. A threshold is chosen on the eval split alone.
"""

import argparse
import csv
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from trainer import features, prepare
from trainer.data.cells import date_of
from trainer.data.schema import Schema, read_schema
from trainer.data.statistics import Statistics, parsed, prepared_fingerprint
from trainer.data.table_files import TABLES, NoTable, files_of
from trainer.data.thresholds import DEFAULT, FORMS, chosen_threshold, in_words, parsed_aim
from trainer.evaluation import measures
from trainer.evaluation.card import CARD, TEMPLATE, card
from trainer.evaluation.drift import THRESHOLD, drift
from trainer.evaluation.held_out import WHOLE, HeldOut
from trainer.evaluation.measures import FEWEST_IN_SLICE, MOST_POINTS, SEARCHED_ROWS
from trainer.evaluation.page import page
from trainer.evaluation.page import shown as shown_number
from trainer.predict import Model, listed
from trainer.preprocessing.provenance import Address, Request, stale_reasons
from trainer.preprocessing.raw_table import layout_of
from trainer.run.console import Console, shown_path
from trainer.run.errors import UserError, exit_code, nearest, shown
from trainer.run.outputs import CONFIG, EVALUATION, METRICS, ROW_LOSSES, read_json, write_json
from trainer.serving import STATISTICS, threshold_of, write_threshold

PAGE = "report.html"
MOST_SHOWN = 3
FIRST_YEAR, DAYS_PER_YEAR = 1970, 365.2425
TRAINED_ON = "it was trained on, so that its metrics are too good"
M = TypeVar("M", bound=Model)


def parser() -> argparse.ArgumentParser:
    parser = prepare.parser()
    parser.prog, parser.description = "python -m trainer.evaluate", __doc__
    add = parser.add_argument
    add("--model", type=Path, required=True, help="folder of an exported model")
    add("--input", type=Path, help="rows with labels, instead of the test table and the eval split")
    add("--threshold", metavar="AIM", help=f"of two classes, chosen on the eval split: {FORMS}")
    add("--keep", action="store_true", help="write the threshold of --threshold into the model")
    add("--by", action="append", default=[], metavar="COLUMNS", help="to slice by, by commas")
    return parser


def main(arguments: Sequence[str]) -> int:
    options = parser().parse_args(arguments)
    try:
        evaluate(options, Console(options.quiet, options.verbose), read_schema(features))
    except NoTable as error:
        remedy = "correct --input" if options.input else error.remedy
        raise UserError(str(error), TABLES, remedy) from error
    return 0


def evaluate(options: argparse.Namespace, console: Console, schema: Schema) -> None:
    by = slice_columns(options.by, schema)
    model, statistics = loaded(Model, options.model, schema, console)
    own, trained = checked_threshold(options), read_json(options.model.parent / METRICS) or {}
    request, source = table_of(options, schema, statistics, options.input or options.test)
    # Refused before anything is computed if the eval split is not at hand.
    chosen_on = eval_split(options, schema, statistics)
    request, columns = without_weight(request, schema, console)
    if request.weight:
        text = f"{source['text']}; weighted by {request.weight}"
        source |= {"text": text, "weight": request.weight}
    console.line(f"evaluate {shown_path(options.model)} on the {source['text']}")
    split = source["rows_of"] if request.eval_share < WHOLE else "eval"
    held_out = HeldOut(model, statistics, request, with_slices(columns, by), split)
    thresholds = {measures.OWN: own, **trained.get("thresholds", {})}
    if aim := options.threshold:
        other = None if (chosen_on, "eval") == (request, split) else chosen_on
        on_eval = HeldOut(model, statistics, other, schema.raw) if other else held_out
        rows = on_eval.scored
        scores = rows.predictions[:, 1]
        thresholds[aim] = chosen_threshold(aim, rows.labels, scores, rows.weights)
        thresholds[measures.OWN] = thresholds[aim] if options.keep else own
    console.line("evaluate intervals, importances and drift")
    cells = {name: held_out.rows.column(name).to_pylist() for name in by}
    at = thresholds[measures.OWN]
    document = {
        "model": shown_path(options.model),
        "source": {**source, "rows_id": held_out.identity()},
        **measurements(held_out, thresholds, trained, source["rows_of"]),
        "slices": {name: measures.sliced(held_out.scored, cells[name], at) for name in by},
    }
    publish(document, held_out, options)


def publish(document: Mapping[str, Any], held_out: HeldOut, options: argparse.Namespace) -> None:
    """Write and show an evaluation, and keep its threshold in the model if it is to be."""
    run, schema, scored = options.model.parent, read_schema(features), held_out.scored
    console = held_out.model.console
    cells = {name: held_out.values(name) for name in document["partial_dependence"]}
    for name in {*cells} & {*schema.dates}:
        cells[name] = FIRST_YEAR + cells[name] / DAYS_PER_YEAR
    config, folder = read_json(run / CONFIG) or {}, run / Path(EVALUATION).parent
    text, pictures = page(document, scored, cells)
    losses = (measures.losses(scored) * scored.weights).astype(np.float32)
    files = {PAGE: text.encode(), Path(ROW_LOSSES).name: losses.tobytes(), **pictures}
    if TEMPLATE.is_file():  # an owner may want no card
        text = card(document, held_out.statistics, schema, config, options.train)
        files[CARD] = text.encode()
    if options.keep:
        write_threshold(options.model, document["thresholds"][measures.OWN]["threshold"])
        console.line(f"evaluate threshold {options.threshold} is written to {document['model']}")
    write(folder, document, files)
    report(document, folder, "" if options.keep else options.threshold, console)


def eval_split(
    options: argparse.Namespace, schema: Schema, statistics: Statistics
) -> Request | None:
    """Return the table whose eval split a threshold is chosen on, None if none is chosen: a plain number is not."""
    chosen = options.threshold and parsed_aim(options.threshold)[0]
    return table_of(options, schema, statistics, None)[0] if chosen else None


def without_weight(request: Request, schema: Schema, console: Console) -> tuple[Request, Schema]:
    """Return a table and its schema, both without the column of the weights if the table lacks it."""
    name, paths = request.weight, files_of(request.train)[1]
    if not name or any(name in layout_of(each, schema).names for each in paths):
        return request, schema
    file = shown_path(request.train)
    console.line(f"evaluate {file} has no column {shown(name)}: all rows count alike")
    kept = {each: kind for each, kind in schema.columns.items() if each != name}
    return replace(request, weight=""), replace(schema, columns=kept)


def with_slices(schema: Schema, by: Sequence[str]) -> Schema:
    """Return a schema of the raw columns, and of all to slice by; their order plays no part in the split."""
    derived = {name: schema.derived[name] for name in by if name in schema.derived}
    columns = schema.raw.columns | {name: schema.columns[name] for name in derived}
    kept = {name: "categorical" for name in by if columns[name] == "ignore"}
    return replace(schema, columns=columns | kept, derived=derived)


def linear_measures(
    trained: Mapping[str, Any], split: str, rows: int, statistics: Statistics
) -> measures.Table:
    """Return the measures of the linear model that training compared its result with, if they are of the same rows."""
    linear = trained.get("linear_baseline")
    if not linear or split != trained.get("split") or (split, rows) not in statistics.rows.items():
        return {}
    return {"linear": {**linear, "log_loss": linear.get("loss")}}


def measurements(
    held_out: HeldOut, thresholds: Mapping[str, float], trained: Mapping[str, Any], split: str
) -> dict[str, Any]:
    """Return what evaluation.json holds of rows with labels and predictions; `trained` is the metrics.json of the run."""
    scored, statistics = held_out.scored, held_out.statistics
    constant = replace(scored, predictions=constant_predictions(statistics, scored.predictions))
    linear = linear_measures(trained, split, len(scored), statistics)
    others = {"constant": measures.measured(constant), **linear}
    searched = slice(SEARCHED_ROWS)
    cells = {name: held_out.rows.column(name)[searched].to_pylist() for name in held_out.columns}
    return {
        "task": scored.task,
        "rows": len(scored),
        "metric": measures.MAIN[scored.task],
        "metrics": measures.with_intervals(scored, others, thresholds[measures.OWN]),
        **measures.details(scored, statistics.label.classes, thresholds),
        "worse_slices": measures.worse_slices(scored[searched], cells),
        **of_columns(held_out),
        "revealing": [*statistics.revealing],
        "history": trained.get("history", []),
    }


def of_columns(held_out: HeldOut) -> dict[str, Any]:
    """Return the importance, partial dependence and drift of columns."""
    names = [*held_out.columns]
    found = measures.importance(held_out.scored, names, held_out.shuffled)
    compared = [name for name in names if name not in held_out.schema.raw.texts]
    top = [name for name in found if name in compared][: measures.TOP_COLUMNS]
    return {
        "importance": found,
        "partial_dependence": dependence_of(held_out, top),
        "drift": drift(held_out.statistics, ((k, held_out.values(k)) for k in compared)),
    }


def dependence_of(held_out: HeldOut, names: Sequence[str]) -> dict[str, Any]:
    """Return the partial dependence on columns: of the positive class, the most frequent ones, or the number."""
    label, found = held_out.statistics.label, {}
    codes = [1] if held_out.schema.task == "binary" else np.argsort(label.counts)[::-1]
    named = {label.classes[code]: int(code) for code in codes[: measures.MOST_OUTPUTS]}
    for name in names:
        if cells := points_of(held_out, name):
            means = held_out.moved(name, cells)
            shown = {k: means[:, at].tolist() for k, at in (named or {"prediction": 0}).items()}
            found[name] = {"values": cells, "predictions": shown}
    return found


def points_of(held_out: HeldOut, name: str) -> list[Any]:
    """Return the cells of a column at which its partial dependence is measured."""
    is_date = name in held_out.schema.raw.dates
    if not (column := held_out.statistics.numeric.get(name)):
        found = measures.most_frequent(held_out.values(name))
        return [*map(date_of, found)] if is_date else found
    # They are quantiles, in float32, and a value in many rows is among them once.
    inner, steps = column.boundaries[1:-1] or column.boundaries, np.linspace(0, 1, MOST_POINTS)
    picked = np.quantile(inner, steps, method="nearest")
    points = np.unique(np.clip(picked, column.minimum, column.maximum)).tolist()
    return [*map(date_of, points)] if is_date else [*points]


def checked_threshold(options: argparse.Namespace) -> float:
    """Return the threshold of the model; raise `UserError` if there is none to choose or to keep."""
    aim, own = options.threshold, threshold_of(options.model)
    if options.keep and not aim:
        raise UserError("--keep is given alone", "a threshold to keep", "add --threshold f1")
    if aim and own is None:
        what = f"--threshold is given, and {shown_path(options.model)} has no threshold"
        expected = "a model of two classes that this version of the project has trained"
        raise UserError(what, expected, "remove --threshold, or run `nox -s local_train` again")
    return DEFAULT if own is None else own


def loaded(kind: type[M], folder: Path, schema: Schema, console: Console) -> tuple[M, Statistics]:
    """Return a model and the statistics of its training rows; raise `UserError` if it has other columns than the schema."""
    held = read_json(folder / STATISTICS)
    if not held:
        what, expected = f"{folder} has no {STATISTICS}", "a model that this version has trained"
        raise UserError(what, expected, "run `nox -s local_train` first")
    model = kind(folder, (), False, console)
    if differing := sorted(model.parameters.keys() ^ {*schema.raw.used}):
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
    options: argparse.Namespace, schema: Schema, statistics: Statistics, whole: Path | None
) -> tuple[Request, dict[str, Any]]:
    """Return the `whole` table, or else that of training, as one whose `eval` split the rows are, and how outputs call them."""
    weight = (statistics.weight or {}).get("column", "")
    request = replace(prepare.request_of(options), weight=weight)
    if whole:
        if not (paths := files_of(whole)[1]):
            raise UserError(f"there is no file {whole}", TABLES, "correct its name")
        train, name = request.train, "input" if options.input else "test"
        trained = [] if isinstance(train, Address) else files_of(train)[1]
        own = not {*map(Path.resolve, paths)}.isdisjoint(map(Path.resolve, trained))
        about = TRAINED_ON if own else "it had no part in the choice of the run"
        text = f"{name} table {shown_path(whole)}: {about}"
        source = {"rows_of": name, "file": str(whole), "chose_the_run": own, "text": text}
        request = replace(request, train=whole.resolve(), eval_share=WHOLE, split="random")
        return request, source
    reasons = stale_reasons(request, schema)
    if prepared_fingerprint(request.output) != statistics.fingerprint:
        reasons = ["the model was trained on other data", *reasons]
    if reasons:
        other = "give --threshold a number" if options.threshold else "name other rows with --input"
        raise UserError(
            f"{shown_path(request.output)} does not hold the data of the model ({reasons[0]})",
            "the split that the model was trained with, so that no row of it is evaluated",
            f"restore the table and trainer/features.py, train again, or {other}",
        )
    if request.rule[0] == "column" and "test" in statistics.rows:
        text = f"test rows by {shown(request.rule[1])}: they had no part in the choice of the run"
        source = {"rows_of": "test", "file": str(request.train), "chose_the_run": False}
        return request, {**source, "text": text}
    text = "eval split: it chose the weights of the run, so that its metrics may be too good"
    source = {"rows_of": "eval", "file": str(request.train), "chose_the_run": True, "text": text}
    return request, source


def constant_predictions(statistics: Statistics, predictions: Any) -> Any:
    """Return predictions of the same shape: the class frequencies, or the mean, of the training rows for each row."""
    counts = np.array(statistics.label.counts, np.float64)
    always = counts / counts.sum() if counts.size else statistics.label.mean
    return np.full_like(predictions, always)


def write(folder: Path, document: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
    """Replace an evaluation by a complete one."""
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for name, content in files.items():
        (partial / name).write_bytes(content)
    write_json(partial / Path(EVALUATION).name, document)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def report(document: Mapping[str, Any], folder: Path, aim: str, console: Console) -> None:
    table = [("rows", f"{document['rows']:,}")]
    for name, each in document["metrics"].items():
        value, low, high, constant = [*map(shown_number, each.values())][:4]
        table.append((name, f"{value}  ({low} to {high}; constant {constant})"))
    at = document.get("thresholds", {})
    table += [(f"threshold ({k})", in_words(at[k])) for k in (measures.OWN, aim) if k in at]
    table += [("columns", important(document["importance"]))]
    table += [("worse at", worse(document["worse_slices"]))]
    main = next(each for each in measures.MAIN.values() if each in document["metrics"])
    by = document["slices"].items()
    table += [(f"by {shown(column, 14)}", extremes(slices, main)) for column, slices in by]
    table += [("drift", drifted(document["drift"]))]
    files = {"report": folder / PAGE, "card": folder / CARD}
    table += [(name, shown_path(path)) for name, path in files.items() if path.is_file()]
    console.line("")
    console.table(table)
    for finding in document["revealing"]:
        console.warning(finding)


def important(columns: measures.Table) -> str:
    """Return the columns whose importance is the largest and no chance, in words."""
    beyond = [name for name, each in columns.items() if each["mean"] > 2 * each["deviation"]]
    named = ", ".join(beyond[:MOST_SHOWN])
    return f"{named} matter most" if beyond else "none matters beyond chance"


def worse(slices: measures.Table) -> str:
    """Return the slices whose loss is higher by more than chance, the highest first, in words."""
    named = ", ".join(shown(each, 28) for each in [*slices][:2])
    return named or "no slice beyond chance"


def extremes(slices: measures.Table, main: str) -> str:
    """Return the lowest and the highest main measure of slices that have it and rows enough, in words."""
    large = (each for each in slices.items() if each[1]["rows"] >= FEWEST_IN_SLICE)
    known = {name.strip(): each[main] for name, each in large if each.get(main) is not None}
    rising = sorted(known, key=known.__getitem__)
    ends = rising[:1] + rising[1:][-1:]
    texts = (f"{shown_number(known[name])} ({shown(name, 11)})" for name in ends)
    none = f"no slice of {FEWEST_IN_SLICE} rows or more has a known {main}"
    return f"{main} {' to '.join(texts)}" if known else none


def drifted(columns: measures.Table) -> str:
    """Return the columns that drifted, or how many were compared with the training rows, in words."""
    if names := [name for name, each in columns.items() if each["drifted"]]:
        return f"{listed(names)}: over {THRESHOLD} from the training rows, or as many more missing"
    if not any(each["jensen_shannon"] for each in columns.values()):
        return "not known: the data was prepared by an earlier version"
    return f"none of {len(columns)} columns is over {THRESHOLD} from the training rows"


if __name__ == "__main__":
    sys.exit(exit_code(main, sys.argv[1:]))
