"""Predictions of an exported model: `python -m trainer.predict --model DIR --input FILE`.

The input holds raw rows: CSV, JSON or Parquet. The output has a row for each, with the columns to keep: JSON Lines on
standard output, or a file. A cell that is empty or null, and a column that the input lacks, count as missing.
Standard output has probabilities by class, and fewer digits if it is a terminal; a file has all of float32.
"""

import argparse
import csv
import json
import os
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from trainer import features
from trainer.data import cells
from trainer.data.raw_rows import Batch, Reading
from trainer.data.schema import read_schema
from trainer.data.statistics import parsed
from trainer.data.table_files import TABLES
from trainer.endpoint import Endpoint
from trainer.run.console import LINE_EVERY_SECONDS, Console
from trainer.run.errors import UserError, exit_code, nearest, shown
from trainer.run.outputs import SAVED_MODEL, read_json
from trainer.serving import SCORES, STATISTICS, checked_cell, input_parameters, text_signature

MOST_SHOWN = 20
PROBABILITIES = SCORES["multiclass"]
DIGITS = {**dict.fromkeys(SCORES.values(), 4), SCORES["regression"]: 6}  # on a terminal
INSTANCES_AT_ONCE, REQUESTS_AT_ONCE = 1_024, 4
WRITERS: dict[str, Any] = {
    ".jsonl": None,
    ".csv": pa.csv.CSVWriter,
    ".parquet": pa.parquet.ParquetWriter,
}


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m trainer.predict", description=__doc__)
    add = parser.add_argument
    add("--model", type=Path, help="folder of an exported model")
    add("--url", help="an endpoint to ask instead; ACCESS_TOKEN is sent to it if it is set")
    add("--input", type=Path, required=True, help=f"{TABLES}; - for standard input")
    add("--keep", action="append", default=[], metavar="COLUMNS", help="to copy, by commas")
    add("--output", type=Path, help=f"a file whose name ends in {', '.join(WRITERS)}")
    add("-q", "--quiet", action="store_true", help="only warnings and errors")
    return parser


def main(arguments: Sequence[str]) -> int:
    options = parser().parse_args(arguments)
    if options.output:
        check_output(options.output, options.input)
    keep = [*chain(*csv.reader(options.keep, skipinitialspace=True))]
    as_text = options.output and options.output.suffix != ".jsonl"  # of one type to the last row
    model = predictor(options, keep, bool(as_text))
    tables = model.predicted(options.input)
    try:
        write_rows(tables if options.output else map(model.readable, tables), options.output)
    except BrokenPipeError:  # who reads standard output has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    model.report()
    return 0


def check_output(output: Path | None, source: Path) -> None:
    """Raise `UserError` for a file that cannot be written, before rows are predicted for it."""
    if not output or output.resolve() == source.resolve() or output.suffix not in WRITERS:
        raise UserError(f"--output is {output}", " or ".join(WRITERS), "name another file")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=output.parent).close()
        if output.is_dir():
            raise IsADirectoryError(0, "it is a folder")
    except OSError as error:
        what = f"--output {output} cannot be written ({error.strerror})"
        raise UserError(what, "a file in a folder to write to", "name another") from error


def predictor(options: argparse.Namespace, keep: Sequence[str], as_text: bool) -> "Predictor":
    """Return what predicts: the endpoint of --url, or the model of --model."""
    console, folder = Console(options.quiet), options.model
    if options.url:
        return Remote(Endpoint(options.url), keep, as_text, console)
    if not folder or not (folder / SAVED_MODEL).is_file():
        what = f"{folder} holds no model" if folder else "neither --model nor --url is given"
        raise UserError(what, f"a folder with a {SAVED_MODEL}", "run `nox -s local_train` first")
    return Model(folder, keep, as_text, console)


class Predictor(ABC):
    """Predicts rows of files batch by batch, and counts how many have each column.

    `parameters` are those of a model by column; by default the columns are those of features.py.
    """

    workers: int
    classes: Sequence[str] = ()

    def __init__(
        self, keep: Sequence[str], as_text: bool, console: Console, parameters: Any = None
    ) -> None:
        schema, self.as_text, self.console = read_schema(features).raw, as_text, console
        self.parameters: dict[str, Any] = parameters or dict.fromkeys(schema.used)
        self.reading = Reading(schema, self.parameters, keep)
        self.started = time.perf_counter()
        self.rows, self.having = 0, Counter[str]()

    @abstractmethod
    def table(self, batch: Batch) -> pa.Table:
        """Return the columns to keep and the predictions."""

    def result(self, batch: Batch, table: "Future[pa.Table]") -> pa.Table:
        return table.result()

    def kept(self, batch: Batch) -> dict[str, pa.Array]:
        return {name: batch.array(name, self.as_text) for name in self.reading.keep}

    def predicted(self, path: Path) -> Iterator[pa.Table]:
        """Yield the predictions of the rows in a file; some are computed while the next ones are read."""
        pending, shown_at = deque[tuple[Batch, Future[pa.Table]]](), self.started
        with ThreadPoolExecutor(self.workers) as pool:
            for batch in self.reading.batches(path):
                self.check(batch)
                pending.append((batch, pool.submit(self.table, batch)))
                if len(pending) > self.workers:
                    yield self.result(*pending.popleft())
                if (now := time.perf_counter()) - shown_at > LINE_EVERY_SECONDS:
                    self.console.line(f"predict  {self.rows:,} rows in {now - self.started:.0f} s")
                    shown_at = now
            yield from (self.result(*each) for each in pending)

    def check(self, batch: Batch) -> None:
        """Count the rows by their columns; raise `UserError` for unknown ones, or rows without those that are needed."""
        declared = {self.reading.schema.label, *self.reading.schema.columns}
        used = {*self.parameters, *self.reading.keep}
        for names, count in Counter(batch.names).items():
            row = batch.first + batch.names.index(names)
            absent = self.parameters.keys() - {*names}
            unknown = [name for name in names if name not in used | declared]
            if unknown or len(absent) == len(self.parameters) or len({*names}) < len(names):
                hints = [f"{shown(each)}: {nearest(each, absent, 'unknown')}" for each in unknown]
                others = ", ".join(hints[:MOST_SHOWN]) or listed(names)
                raise UserError(
                    f"{batch.source}, row {row}, has columns that do not fit the model ({others})",
                    f"columns of the model, each once: {listed(self.parameters)}",
                    "correct the names, --keep them, or list them as ignore in trainer/features.py",
                )
            if new := [name for name in names if name not in used and not self.having[name]]:
                self.console.line(f"columns  not used by the model: {listed(new)}")
            self.having.update(dict.fromkeys(names, count))
        for name in (name for name in self.reading.keep if not self.having[name]):
            what = f"{batch.source} has no column {shown(name)} to keep"
            raise UserError(what, f"one of {listed(self.having)}", "correct --keep")
        self.rows += len(batch.names)

    def readable(self, table: pa.Table) -> pa.Table:
        """Return a table for standard output: probabilities by class, if the classes are known; `DIGITS` on a terminal."""
        digits = DIGITS if sys.stdout.isatty() else {PROBABILITIES: 17}  # all of float64
        for name in digits.keys() - {*self.reading.keep}:
            if (index := table.schema.get_field_index(name)) >= 0:
                values = rounded(table[name].to_pylist(), digits[name])
                if name == PROBABILITIES and self.classes:
                    values = [dict(zip(self.classes, each, strict=True)) for each in values]
                table = table.set_column(index, name, pa.array(values))
        return table

    def report(self) -> None:
        """Warn of columns of the model that rows lack."""
        for name in sorted(self.parameters):
            if lacking := self.rows - self.having[name]:
                what = f"{lacking:,} of {self.rows:,} rows have no column {shown(name)}"
                hint = nearest(name, self.having.keys() - self.parameters, "")
                self.console.warning(f"{what}, which counts as missing{hint and f'; {hint}'}")


class Remote(Predictor):
    """An endpoint, which gets every cell as text."""

    workers = REQUESTS_AT_ONCE

    def __init__(self, endpoint: Endpoint, *given: Any) -> None:
        super().__init__(*given)
        self.endpoint = endpoint

    def table(self, batch: Batch) -> pa.Table:
        columns = {name: batch.texts(name) for name in self.parameters}
        instances = [
            {name: texts[rows[row]] for name, (rows, texts) in columns.items()}
            for row in range(len(batch.names))
        ]
        found: list[dict[str, Any]] = []
        while part := instances[len(found) : len(found) + INSTANCES_AT_ONCE]:
            found += self.endpoint.predictions(part, batch.source, batch.first + len(found))
        outputs = {name: pa.array([each.get(name) for each in found]) for name in sorted(found[0])}
        return pa.table(self.kept(batch) | outputs)


class Model(Predictor):
    """An exported model in this process."""

    def __init__(self, folder: Path, keep: Sequence[str], as_text: bool, console: Console) -> None:
        from trainer.training.tensorflow_setup import cores, start_tensorflow

        start_tensorflow(seed=0)
        super().__init__(keep, as_text, console, input_parameters(folder))
        self.signature = text_signature(folder)
        if both := {*keep} & {*self.signature.structured_outputs}:
            remedy = "rename it in the input"
            raise UserError(f"--keep {both.pop()} is a prediction, too", "another name", remedy)
        self.workers = cores()
        held = read_json(folder / STATISTICS)  # a model of an earlier version has none
        self.training = parsed(held) if held else None
        self.classes = self.training.label.classes if self.training else ()
        self.noted: list[tuple[str, str, int]] = []  # by several threads

    def table(self, batch: Batch) -> pa.Table:
        """Return the columns to keep and the outputs of the model."""
        import tensorflow as tf

        inputs = {}
        for name, parameter in self.parameters.items():
            rows, texts = batch.texts(name)
            self.compare(name, np.bincount(rows, minlength=len(texts)), texts)
            inputs[parameter] = tf.gather(np.array([t.encode() for t in texts], object), rows)
        outputs = self.signature(**inputs)
        found = {name: as_array(outputs[name].numpy()) for name in sorted(outputs)}
        return pa.table(self.kept(batch) | found)

    def compare(self, name: str, counts: Any, texts: Sequence[str]) -> None:
        """Note how many cells hold a category, or one that training knew, or a date outside of those of training.

        `counts`, int64 [texts], are the rows that have each text.
        """
        schema, training = self.reading.schema, self.training
        if training and name in training.vocabularies:
            values, vocabulary = [*map(schema.value, texts)], {*training.vocabularies[name]}
            for what, others in (("given", {None}), ("unseen", {None, *vocabulary})):
                number = counts[[value not in others for value in values]].sum()
                self.noted.append((name, what, int(number)))
        if training and name in schema.dates and name in training.numeric:
            from trainer.training.text_cells import days

            found = days(texts, schema.markers, name in schema.day_first).numpy().astype("f4")
            outside = counts[training.numeric[name].outside(found)].sum()
            self.noted.append((name, "outside", int(outside)))

    def result(self, batch: Batch, table: "Future[pa.Table]") -> pa.Table:
        """Return the predictions of a batch; raise `UserError` for invalid cells: the last of the first, which it shows."""
        import tensorflow as tf

        try:
            return table.result()
        except tf.errors.InvalidArgumentError as error:
            refused = error
        errors: list[UserError] = []
        columns = {name: batch.texts(name) for name in self.parameters}
        for row in range(len(batch.names)):
            for name, (rows, texts) in columns.items():
                try:
                    checked_cell(text := texts[rows[row]], name, self.reading.schema)
                except ValueError as error:
                    where = f"{batch.source}, row {batch.first + row}, column {shown(name)}"
                    errors.append(UserError(f"{where} is {shown(text)}", str(error), "correct it"))
        for each in errors[:MOST_SHOWN][:-1]:
            print(f"error: {each}", file=sys.stderr)
        raise errors[:MOST_SHOWN][-1] if errors else refused

    def report(self) -> None:
        """Warn of columns whose values are all unseen, too, and of dates outside of those of training."""
        super().report()
        counts = Counter[tuple[str, str]]()
        for name, what, count in self.noted:
            counts[name, what] += count
        for (name, what), count in sorted(counts.items()):
            if what == "unseen" and count == counts[name, "given"] > 0:
                text = f"no training row has a value that {shown(name)} has in these rows"
                self.console.warning(f"{text}, so that all count as unseen")
            if what == "outside" and count and self.training:
                text = f"{count:,} of {self.rows:,} rows have a {shown(name)} outside of the dates"
                self.console.warning(f"{text} of training, {self.training.numeric[name].dates}")


def write_rows(tables: Iterator[pa.Table], path: Path | None) -> None:
    """Write tables as JSON Lines to standard output, or to a file, which is there only when it is complete."""
    if not path:
        sys.stdout.buffer.writelines(map(json_lines, tables))
        sys.stdout.buffer.flush()
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    try:
        if path.suffix == ".jsonl":
            with partial.open("wb") as file:
                file.writelines(map(json_lines, tables))
        else:
            tables = map(flat, tables) if path.suffix == ".csv" else tables
            first = next(tables)
            with WRITERS[path.suffix](partial, first.schema) as writer:
                for table in chain([first], tables):
                    writer.write(table)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def flat(table: pa.Table) -> pa.Table:
    plain = [json_texts(each) if pa.types.is_nested(each.type) else each for each in table.columns]
    return pa.table(plain, table.column_names)


def json_lines(table: pa.Table) -> bytes:
    parts: list[Any] = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        parts.append(f"{', ' if parts else '{'}{json.dumps(name, ensure_ascii=False)}: ")
        parts.append(json_texts(column))
    return "".join(pc.binary_join_element_wise(*parts, "}\n", "").to_pylist()).encode()


def json_texts(column: pa.ChunkedArray) -> pa.Array:
    """Return the values of a column as JSON; each different one is converted once."""
    values, rows = column.combine_chunks(), None
    is_number = pa.types.is_integer(values.type) or pa.types.is_floating(values.type)
    if is_number and pc.all(pc.is_finite(values)).as_py():
        return values.cast(pa.string()).fill_null("null")
    if not pa.types.is_nested(values.type):
        coded = values.dictionary_encode("encode")
        values, rows = coded.dictionary, coded.indices
    texts = (json.dumps(v, ensure_ascii=False, default=cells.text) for v in values.to_pylist())
    found = pa.array(texts, pa.string())
    return found if rows is None else found.take(rows)


def rounded(value: Any, digits: int) -> Any:
    """Return a number, or each in lists, to significant digits; None stays."""
    if isinstance(value, list):
        return [rounded(each, digits) for each in value]
    return None if value is None else float(f"{value:.{digits}g}")


def as_array(values: Any) -> pa.Array:
    """Return an output of the model, [rows] or [rows, values], as an Arrow array."""
    if values.ndim == 2 and values.dtype == np.float32:  # as text, so that float64 has its digits
        return pa.array([*values]).cast(pa.list_(pa.string())).cast(pa.list_(pa.float64()))
    array = pa.array(values if values.ndim == 1 else values.tolist())
    return array.cast(pa.string()) if values.dtype == object else array


def listed(names: Collection[str]) -> str:
    first = ", ".join(map(shown, islice(names, MOST_SHOWN))) or "(none)"
    return f"{first}, …" if len(names) > MOST_SHOWN else first


if __name__ == "__main__":
    sys.exit(exit_code(main, sys.argv[1:]))
