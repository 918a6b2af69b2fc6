"""Predictions of an exported model: `python -m trainer.predict --model DIR --input FILE`.

The input holds raw rows: CSV, JSON lines or Parquet, plain or gzipped. Each line of the output is the prediction for a row,
as a JSON object. A cell that is empty or null, and a column that the input lacks, count as missing.
"""

import argparse
import difflib
import itertools
import json
import os
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from trainer import features
from trainer.data.raw_rows import FORMATS, RawRow, read_raw_rows
from trainer.data.schema import Schema, read_schema
from trainer.run.console import Console
from trainer.run.errors import UserError, exit_code, shown
from trainer.run.outputs import SAVED_MODEL

MOST_SHOWN = 20


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m trainer.predict", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder of an exported model")
    parser.add_argument(
        "--input", type=Path, required=True, help=f"raw rows, {FORMATS}; - for standard input"
    )
    return parser


def main(arguments: Sequence[str]) -> int:
    options = parser().parse_args(arguments)
    if not (options.model / SAVED_MODEL).is_file():
        raise UserError(
            f"{options.model} holds no model",
            f"a folder with a {SAVED_MODEL}",
            "run `nox -s local_train` first",
        )
    from trainer.serving import TEXT_SIGNATURE, input_parameters, predictions
    from trainer.training.tensorflow_setup import start_tensorflow

    start_tensorflow(seed=0)
    parameters = input_parameters(options.model)
    schema = read_schema(features)
    rows = read_raw_rows(options.input, schema, parameters)
    check_columns(rows, parameters)
    report_columns(rows, parameters, schema, Console())
    import tensorflow as tf

    signature = tf.saved_model.load(str(options.model)).signatures.get(TEXT_SIGNATURE)
    if signature is None:
        raise UserError(
            f"{options.model} has no signature {TEXT_SIGNATURE!r}",
            "a model that this version of the project has trained",
            "run `nox -s local_train` again",
        )
    found = predictions(signature, parameters, checked_cells(rows, parameters, schema))
    write_lines(json.dumps(row, ensure_ascii=False) for row in found)
    return 0


def write_lines(lines: Iterable[str]) -> None:
    """Write to standard output, and end quietly when the reader closes it."""
    try:
        for line in lines:
            print(line)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def check_columns(rows: Sequence[RawRow], columns: Collection[str]) -> None:
    """Raise `UserError` for a row without any column of the model: its prediction would mean nothing."""
    for where, cells in rows:
        if not any(name in columns for name in cells):
            raise UserError(
                f"{where}, has the columns {listed(cells) or '(none)'}",
                f"columns of the model: {listed(columns)}",
                "correct the names",
            )


def listed(names: Collection[str]) -> str:
    first = ", ".join(map(shown, itertools.islice(names, MOST_SHOWN)))
    return f"{first}, …" if len(names) > MOST_SHOWN else first


def report_columns(
    rows: Sequence[RawRow], columns: Collection[str], schema: Schema, console: Console
) -> None:
    """Name each column of the input that the model does not know, and each of the model that rows lack."""
    counts = Counter(name for _, cells in rows for name in cells)
    others = [name for name in counts if name not in columns]
    unused = [name for name in others if name in (schema.label, *schema.columns)]
    unknown = [name for name in others if name not in unused]
    absent = [name for name in sorted(columns) if counts[name] < len(rows)]
    if unused:
        console.line(f"columns  not used by the model: {listed(unused)}")
    for name in unknown:
        hint = nearest(name, absent)
        console.warning(f"the model has no column {shown(name)}, so it is not used{hint}")
    for name in absent:
        lacking = f"{len(rows) - counts[name]:,} of {len(rows):,} rows have no column {shown(name)}"
        console.warning(f"{lacking}, which counts as missing{nearest(name, unknown)}")


def nearest(name: str, others: Sequence[str]) -> str:
    """Return a question that names the column with the nearest spelling, "" if none is close."""
    folded = {other.casefold(): other for other in others}
    found = difflib.get_close_matches(name.casefold(), folded, n=1)
    return f"; is it {shown(folded[found[0]])}?" if found else ""


def checked_cells(
    rows: Sequence[RawRow], columns: Collection[str], schema: Schema
) -> list[dict[str, str]]:
    """Return the cells of each row as the signature takes them; raise `UserError` for invalid ones, the first of many."""
    from trainer.serving import checked_cell

    checked: list[dict[str, str]] = []
    invalid: list[UserError] = []
    for where, cells in rows:
        checked.append({})
        for name in columns:
            try:
                checked[-1][name] = checked_cell(cells.get(name), name, schema)
            except ValueError as error:
                problem = f"{where}, column {shown(name)} is {shown(cells[name])}"
                invalid.append(UserError(problem, str(error), "correct the cell"))
        if len(invalid) > MOST_SHOWN:
            break
    for each in invalid[:-1]:
        print(f"error: {each}", file=sys.stderr)
    if invalid:
        raise invalid[-1]
    return checked


if __name__ == "__main__":
    sys.exit(exit_code(main, sys.argv[1:]))
