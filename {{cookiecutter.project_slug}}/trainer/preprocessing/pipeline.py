"""The preparation step by step: read, validate, split, encode, write."""

import dataclasses
import json
import os
import shutil
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from trainer.data import files
from trainer.data.cells import date_of
from trainer.data.schema import Schema
from trainer.data.statistics import Label, Statistics, vocabulary_codes, write_statistics
from trainer.data.table_files import OTHER_ENCODING
from trainer.preprocessing import analyze, cell_sql, comparison, derived, split_sql, splits, sql
from trainer.preprocessing.columns import cells_table, codes_table, values_table
from trainer.preprocessing.engine import DuckDB, Engine, check_label_sql, enough_mb
from trainer.preprocessing.provenance import Address, Request, digest, write_record
from trainer.preprocessing.raw_table import Table, as_plain, open_table
from trainer.preprocessing.rejects import count_rejects
from trainer.preprocessing.shard_writer import Coding, write_shards
from trainer.run.console import Console, shown_path
from trainer.run.errors import UserError, shown
from trainer.run.outputs import local_path

EXAMPLE_ROWS = 10
MOST_FILES_SHOWN = 5
# Equal rows are in one split, unless their number decides the size and the content of the splits.
FEWEST_DIFFERENT, MOST_COPIES, MOST_COPIES_SHARE = 0.25, 10, 0.01


def prepare(request: Request, schema: Schema, console: Console) -> None:
    """Write the prepared data to a folder beside `request.output`, and replace that only when it is complete."""
    started = time.perf_counter()
    if schema.label_sql:
        check_label_sql(schema)
    if request.output.is_mount():
        what = f"{shown_path(request.output)} is a mount point, which cannot be replaced"
        fix = "mount the folder that holds it, or name a folder below it: prepared in job.toml"
        raise UserError(what, "a folder", fix)
    partial = request.output.with_name(request.output.name + ".partial")
    if partial.exists():  # left by a process that was killed
        shutil.rmtree(partial)
    tables, engine = opened(request, schema, partial / "spill", console)
    partial.mkdir(parents=True, exist_ok=True)
    try:
        preparation = Preparation(request, schema, console, partial, engine)
        statistics = preparation.write(tables)
    except BaseException:
        engine.close()
        rejects = partial / files.REJECTS
        if rejects.is_file():  # so that the user can look at them
            shutil.copyfile(rejects, request.rejects)
        shutil.rmtree(partial)
        raise
    replace(partial, request)
    write_record(request, schema, statistics.fingerprint, preparation.findings)
    report(statistics, request.output, time.perf_counter() - started, console)
    for finding in preparation.findings:
        console.warning(finding)


def replace(partial: Path, request: Request) -> None:
    request.rejects.unlink(missing_ok=True)
    old = request.output.with_name(request.output.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if request.output.exists():
        request.output.rename(old)
    partial.rename(request.output)
    shutil.rmtree(old, ignore_errors=True)


def report(statistics: Statistics, output: Path, seconds: float, console: Console) -> None:
    rows = sum(statistics.rows.values())
    splits = ", ".join(f"{count:,} {split}" for split, count in statistics.rows.items())
    console.line(f"data     {splits} rows in {seconds:.1f} s ({rows / seconds:,.0f} rows/s)")
    console.line(f"data     written to {shown_path(output)}")


def opened(
    request: Request, schema: Schema, spill: Path, console: Console
) -> tuple[dict[str, Table], Engine]:
    """Return the tables of a request, and what runs the SQL; raise `UserError` for tables that it cannot read."""
    for path in request.tables.values():
        elsewhere = isinstance(path, Address)
        if elsewhere != (request.engine != "local"):
            expected = "a table of this machine" if elsewhere else "a bq:// or gs:// address"
            other = "bigquery`, or vertex" if elsewhere else "local`"
            what = f"the table is {path}, the engine {request.engine}"
            raise UserError(what, expected, f"run `nox -s prepare -- --engine {other}")
    paths = request.tables.items()
    if request.engine == "bigquery":
        from trainer.preprocessing.bigquery import BigQuery

        engine = BigQuery(request, spill, console)
        try:
            return {split: engine.open_table(path, schema, split) for split, path in paths}, engine
        except BaseException:
            engine.close()  # of loaded files it has a copy
            raise
    local = {split: local_path(str(path), os.environ) for split, path in paths}
    tables = {split: open_table(path, schema, split) for split, path in local.items()}
    return tables, DuckDB(spill, request.memory_mb or enough_mb(schema), console)


class Preparation:
    """One preparation: the table `prepared` in DuckDB holds the rows of all splits, which `write` encodes to `folder`."""

    def __init__(
        self, request: Request, schema: Schema, console: Console, folder: Path, engine: Engine
    ) -> None:
        self.request = request
        self.schema = schema
        self.console = console
        self.folder = folder
        self.findings: list[str] = []
        self.spill = folder / "spill"
        self.engine = engine
        for function in cell_sql.functions(schema):
            self.engine.run(function)

    def write(self, tables: dict[str, Table]) -> Statistics:
        rejected = sum(self.read_table(split, table) for split, table in tables.items())
        record = self.split_train_table()
        analyze.split_rows(self.engine, self.request)
        weight = self.scale_weights()
        label = analyze.label_statistics(self.engine, self.schema, weight is not None)
        self.drop_unknown_labels(label)
        joins = sql.joined_columns(self.count_cells())
        statistics = analyze.analyze(self.engine, self.request, self.schema, label, rejected)
        statistics = dataclasses.replace(statistics, split=record, weight=weight)
        self.write_examples([*statistics.rows][-1])
        self.create_codes(statistics, joins)
        coding = Coding(joins, self.code_cells(statistics, joins), self.request.weight)
        for split, rows in statistics.rows.items():
            write_shards(self.engine, self.schema, split, rows, self.folder / split, coding)
        statistics = self.compare_splits(statistics)
        self.engine.close()
        return self.identified(statistics)

    def identified(self, statistics: Statistics) -> Statistics:
        """Write the statistics, with a digest of all that is written as their fingerprint."""
        path = self.folder / files.STATISTICS
        write_statistics(statistics, path)
        written = [each for each in self.folder.rglob("*") if each.is_file()]
        statistics = dataclasses.replace(statistics, fingerprint=digest(self.folder, written))
        write_statistics(statistics, path)
        return statistics

    def read_table(self, split: str, table: Table) -> int:
        """Add the valid rows of a table to `prepared`; return the number of rejected ones.

        Raises `UserError` beyond the rejected share that is allowed.
        """
        found = [] if table.path.is_file() else [shown(each) for each in table.files]
        more = [f"and {len(found) - MOST_FILES_SHOWN} more"] * (len(found) > MOST_FILES_SHOWN)
        names = f": {', '.join([*found[:MOST_FILES_SHOWN], *more])}" if found else ""
        self.console.line(f"data     reading {shown_path(table.path)}{names}")
        table = as_plain(table, self.spill / split)
        if table.late:
            keys = ", ".join(map(shown, table.late[:MOST_FILES_SHOWN]))
            what = f"{shown_path(table.path)} has keys that are not in its first rows: {keys}"
            self.findings.append(f"{what}; move a row that has them up if they are to be columns")
        before = self.count("prepared") if split == "test" else 0
        self.validate_rows(table, split)
        rows, path = self.count("prepared") - before, self.folder / files.REJECTS
        rejected, first = count_rejects(self.engine, table, rows, path)
        self.warn_of_unlabelled(table)
        self.engine.run("DELETE FROM prepared WHERE reason IS NOT NULL")
        self.check_rejected(rejected, rejected + self.count("prepared") - before, first)
        self.drop_weightless(table)
        return rejected

    def count(self, relation: str) -> int:
        return int(self.number(f"SELECT COUNT(*) FROM {relation}"))

    def warn_of_unlabelled(self, table: Table) -> None:
        """Warn of rows without a label: they are not invalid, but nothing can be learnt from them."""
        unlabelled = self.count("prepared WHERE label IS NULL")
        if unlabelled:
            self.console.warning(
                f"{table.path.name}: {unlabelled:,} row(s) have no label and are left out"
            )

    def drop_weightless(self, table: Table) -> None:
        """Drop rows of the weight 0, which would count in nothing but vocabularies and numbers of rows."""
        weightless = self.request.weight and self.count("prepared WHERE weight = 0")
        if weightless:
            text = f"{table.path.name}: {weightless:,} row(s) have the weight 0 and are left out"
            self.console.line(f"data     {text}")
            self.engine.run("DELETE FROM prepared WHERE weight = 0")

    def scale_weights(self) -> dict[str, Any] | None:
        """Divide the weights by their mean over the training rows; return what statistics.json records of them."""
        name = self.request.weight
        if not name:
            return None
        query = "SELECT AVG(weight), MIN(weight), MAX(weight) FROM prepared WHERE split = 'train'"
        mean, *bounds = map(analyze.seven_digits, self.engine.rows(query)[0])
        self.engine.run(f"UPDATE prepared SET weight = weight / {mean} WHERE TRUE")
        text = f"{name}, {bounds[0]:,g} to {bounds[1]:,g}; it is no feature"
        self.console.line(f"data     rows weighted by {text}")
        return {"column": name, "mean": mean}

    def validate_rows(self, table: Table, split: str) -> None:
        """Add each row of the file to `prepared`: cleaned, with its split, and the reason if it cannot be used."""
        request = self.request
        columns = (request.rule[1], request.weight)
        later = sql.later_numbers(self.schema.raw)
        rows = sql.validated_rows(self.schema.raw, request.deduplicate, *columns)
        if not later:
            rows = derived.with_derived(rows, self.schema)
        name = "prepared" if split == "train" else "added"
        query = split_sql.with_split(rows, request.eval_share, split)
        self.engine.load(table, self.schema, f"CREATE TABLE {name} AS {query}")
        for part in later:
            self.recreate(sql.with_numbers(name, self.schema.raw, part), name)
        if later and self.schema.derived:
            self.recreate(derived.with_derived(f"SELECT * FROM {name}", self.schema), name)
        if name == "added":
            self.engine.run("INSERT INTO prepared SELECT * FROM added")
            self.engine.run("DROP TABLE added")

    def check_rejected(self, rejected: int, total: int, first: str) -> None:
        if not rejected:
            return
        share, allowed = rejected / total, self.request.max_rejected_share
        found = f"{rejected:,} of {total:,} rows cannot be used ({share:.2%}), the first: {shown(first, 160)}"
        kept = self.folder.parent == self.request.output.parent  # not those of an evaluation
        if share > allowed:
            fix = "fix the file, or correct the column's kind (of a label: TASK) in trainer/features.py"
            if "not utf-8" in first:
                fix = OTHER_ENCODING
            remedy = f"see {shown_path(self.request.rejects)}, then {fix}" if kept else fix
            raise UserError(found, f"at most {allowed:.2%}", remedy)
        where = f"; see {shown_path(self.request.output / files.REJECTS)}" if kept else ""
        self.console.warning(f"{found}{where}")

    def split_train_table(self) -> dict[str, Any]:
        """Give each row of the train table its split; return what statistics.json records of it."""
        self.divide_equal_rows()
        rule, column = self.request.rule
        if self.request.fold and not column:
            self.recreate(split_sql.with_fold(*self.request.fold))
        if column:
            found, warning = splits.create_sides(self.engine, self.request, self.schema)
            self.findings += [warning] * bool(warning)
            self.recreate(split_sql.with_sides("'train'" if rule == "time" else "p.split"))
            details = ", ".join(f"{name} {value}" for name, value in found.items())
            self.console.line(f"data     split by {rule} of {column}: {details}")
            return {"rule": self.request.split, **found}
        if rule == "stratified":
            self.recreate(split_sql.stratified(self.request.eval_share))
            self.console.line("data     split stratified: eval has the same share of each class")
        self.place_classes()
        return {"rule": self.request.split}

    def divide_equal_rows(self) -> None:
        """Split rows of very many copies copy by copy."""
        rows = self.count("prepared WHERE split <> 'test'")
        different, most = self.engine.rows(split_sql.equal_rows())[0]
        few = different < rows * FEWEST_DIFFERENT
        limit = 1 if few else max(MOST_COPIES, int(rows * MOST_COPIES_SHARE))
        if not rows or most <= limit:
            return
        share = self.request.eval_share
        tables = (split_sql.divided(split, share, limit) for split in self.request.tables)
        self.recreate(" UNION ALL ".join(tables))
        if not self.request.rule[1]:
            self.console.line(
                f"data     {different:,} of {rows:,} rows are different, so copies of a row are in both splits;"
                " deduplicate = true in job.toml keeps one of each"
            )

    def recreate(self, query: str, name: str = "prepared") -> None:
        """Replace a table by what a query over it returns."""
        self.engine.run(f"CREATE TABLE recreated AS {query}")
        self.engine.run(f"DROP TABLE {name}")
        self.engine.run(f"ALTER TABLE recreated RENAME TO {name}")

    def place_classes(self) -> None:
        """Give each class of two rows or more one to evaluate on, and each class one to train on."""
        if self.schema.task == "regression" or not self.request.eval_share:
            return
        counted = self.engine.rows(split_sql.classes_by_split())
        lacking = {label: 0 for label, train, held_out in counted if not train * held_out}
        if lacking:
            analyze.create_code_table(self.engine, "lacking", lacking)
            self.engine.run(split_sql.place_classes())

    def drop_unknown_labels(self, label: Label) -> None:
        """Drop rows of the other splits whose class no training row has: no prediction could be right."""
        if not label.classes:
            return
        codes = {value: code for code, value in enumerate(label.classes)}
        analyze.create_code_table(self.engine, "classes", codes)
        unknown = "prepared WHERE label NOT IN (SELECT value FROM classes)"
        left_out = self.count(unknown)
        if left_out:
            self.console.warning(
                f"{left_out:,} rows to evaluate on have a label that no training row has; they are left out"
            )
            self.engine.run(f"DELETE FROM {unknown}")

    def count_cells(self) -> list[int]:
        """Create the tables of the different cells of each coded column, `cells_<index>(cell, value, train_rows)`; return their sizes."""
        limit, counts = self.schema.vocabulary_limit, list[int]()
        for index, name in enumerate(self.schema.coded):
            self.engine.run(f"CREATE TABLE {cells_table(index)} AS {sql.cells(index, self.schema)}")
            cells = self.count(cells_table(index))
            counts.append(cells)
            if cells > limit and name in self.schema.vocabulary:
                self.console.warning(
                    f"{shown(name)} has {cells:,} different cells: the {limit:,} most frequent values"
                    ' get a code each, and all others share one; "hashed" in trainer/features.py distinguishes more'
                )
        return counts

    def create_codes(self, statistics: Statistics, joins: Collection[int]) -> None:
        """Create the tables that map the text of some coded columns to its code: `codes_<index>(cell, code)`."""
        for index in sorted(joins):
            name = self.schema.coded[index]
            cells, values = cells_table(index), values_table(index)
            if name in statistics.hashed:
                query = sql.hashed_codes(cells, statistics.hashed[name])
            else:
                known = vocabulary_codes(statistics.vocabularies[name])
                analyze.create_code_table(self.engine, values, known)
                query = sql.cell_codes(cells, values)
            self.engine.run(f"CREATE TABLE {codes_table(index)} AS {query}")

    def code_cells(
        self, statistics: Statistics, joins: Collection[int]
    ) -> dict[str, tuple[Any, Any]]:
        """Return the cells of the coded columns that are not joined to a table of codes, and their codes."""
        return {
            name: analyze.cell_codes(self.engine, cells_table(index), name, statistics)
            for index, name in enumerate(self.schema.coded)
            if index not in joins
        }

    def compare_splits(self, statistics: Statistics) -> Statistics:
        """Collect what makes results meaningless; return the statistics with the columns that give the label away."""
        self.findings += [*self.small_splits(statistics)]
        revealing, found = comparison.warnings_of(self.folder, self.schema, statistics)
        self.findings += found
        # As many test rows as are equal within a table are equal by chance; that count takes ten times as long.
        share = self.number(sql.share_of_test_in_train()) if "test" in statistics.rows else 0.0
        if (
            share > comparison.LARGE_SHARE
            and share - self.number(sql.share_of_equal_rows()) > comparison.LARGE_SHARE
        ):
            self.findings.append(
                f"{share:.0%} of the test rows are rows of the train table, too, so their metrics do not show what"
                " is learnt; name another `test` under [data] in job.toml, or remove it"
            )
        return dataclasses.replace(statistics, revealing=tuple(revealing))

    def small_splits(self, statistics: Statistics) -> Iterator[str]:
        """Yield a sentence for each split that is too small, or has too few rows of a class, to evaluate on."""
        for split in [*statistics.rows][1:]:
            counts = dict(self.engine.rows(sql.class_counts(split)))
            classes = {value: counts.get(value, 0) for value in statistics.label.classes}
            if what := comparison.too_few(statistics.rows[split], classes):
                by = ", as by a larger eval_share in job.toml" * (split == "eval")
                yield f"the {split} split has {what}, so its metrics may be chance; give it more rows{by}"

    def number(self, query: str) -> float:
        return float(self.engine.rows(query)[0][0])

    def write_examples(self, split: str) -> None:
        """Write a few raw rows that are not trained on, as `predict` and the serving signature take them."""
        columns = derived.raw_columns(self.schema).values()
        rows = self.engine.rows(sql.examples(columns, split, EXAMPLE_ROWS))
        lines = [json.dumps(example(row, self.schema.raw), ensure_ascii=False) for row in rows]
        text = "".join(f"{line}\n" for line in lines)
        (self.folder / files.EXAMPLES).write_text(text, encoding="utf-8")


def example(row: Sequence[Any], schema: Schema) -> dict[str, float | str | None]:
    """Return the value of each used column, in the order of `features.py`, from numbers and then texts of a row."""
    count, coded = len(schema.numeric), {*schema.coded}
    held = dict(zip(schema.numeric, row[:count], strict=True))
    held |= {name: date_of(held[name]) for name in schema.dates if held[name] is not None}
    texts = zip(schema.textual, row[count:], strict=True)
    held |= {name: schema.value(text) if name in coded else text for name, text in texts}
    return {name: held[name] for name in schema.columns if name in held}
