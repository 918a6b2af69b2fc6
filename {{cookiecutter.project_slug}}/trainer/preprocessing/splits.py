"""Splits by the cells of a column: a cell decides the side of all its rows, so that no value is on both sides.

The table `sides(cell, table_rows, value, side)` holds the different cells of the train table, with NULL where a cell has no value.
"""

from dataclasses import replace
from typing import Any

from trainer.data.cells import date_of
from trainer.data.schema import Schema
from trainer.preprocessing import cell_sql, split_sql, sql
from trainer.preprocessing.columns import date_column
from trainer.preprocessing.engine import Engine
from trainer.preprocessing.provenance import Request
from trainer.run.errors import UserError, nearest, shown

FORMS = ("random", "stratified", "time:COLUMN", "group:COLUMN", "column:COLUMN")
WORDS = {
    "train": ("train", "training"),
    "eval": ("eval", "evaluation", "valid", "validation", "val", "dev"),
    "test": ("test", "testing"),
}
NEEDED = {
    "time": "dates or numbers, at least two different ones",
    "group": "at least two groups, and an eval_share that leaves one to train on",
    "column": f"only the words {', '.join(sum(WORDS.values(), ()))}, for rows of train and of eval",
}
NO_VALUE = {
    "time": "no date or number to split by, and are trained on",
    "group": "no group to split by, so that each is split by its own hash",
}
COUNTED = "SELECT split_cell AS cell, COUNT(*) AS table_rows FROM prepared WHERE split <> 'test' GROUP BY split_cell"


def check_split(request: Request, schema: Schema) -> None:
    """Raise `UserError` for a split, or a weight, that does not exist, or that the columns or the task do not allow."""
    (rule, column), what = request.rule, setting(request)
    form = f"{rule}:COLUMN" if ":" in request.split else rule
    if form not in FORMS:
        raise UserError(what, f"one of {', '.join(FORMS)}", nearest(form, FORMS, "correct it"))
    if form != rule and column not in schema.raw.columns:
        expected = f"one of the COLUMNS {', '.join(schema.raw.columns)}"
        raise UserError(what, expected, nearest(column, schema.raw.columns, "correct the name"))
    if request.fold and rule in ("time", "column"):
        expected = "random, stratified or group:COLUMN, by which rows are divided into folds"
        raise UserError(what, expected, "write another split, or evaluate one run")
    if rule == "stratified" and schema.task == "regression":
        expected = "classes, a share of each of which is evaluated on"
        raise UserError(f"{what}, and the label is a number", expected, 'write split = "random"')
    weight, ignored = request.weight, schema.of_kind("ignore")
    if weight and weight not in ignored:
        what = f"weight under [data] in job.toml is {shown(weight)}"
        expected = 'a column of the kind "ignore" in trainer/features.py, as it is no feature'
        raise UserError(what, expected, nearest(weight, ignored, "correct the name, or its kind"))


def setting(request: Request) -> str:
    return f"split under [data] in job.toml is {shown(request.split)}"


def create_sides(engine: Engine, request: Request, schema: Schema) -> tuple[dict[str, Any], str]:
    """Create the table `sides`; return what it holds, for statistics.json, and a warning of rows without a value, or "".

    Raises `UserError` for a cell that names no split, and for a side without rows.
    """
    (rule, _), what, fix = request.rule, setting(request), "correct the column, or the split"
    query = {"time": by_time, "group": by_group, "column": by_word}[rule](request, schema)
    engine.run(f"CREATE TABLE sides AS {query}")
    query = "SELECT side, SUM(table_rows), COUNT(DISTINCT value), MIN(value), MAX(value), MIN(cell) FROM sides GROUP BY side ORDER BY side DESC"
    sides = {side: each for side, *each in engine.rows(query)}
    rows, *_, cell = sides.pop(None, [0, ""])
    if rows and rule == "column":
        raise UserError(f"{what}, with {shown(cell)} in {rows:,} row(s)", NEEDED[rule], fix)
    if lacking := {"train", "eval"} - {*sides}:
        raise UserError(f"{what}, which gives no {min(lacking)} rows", NEEDED[rule], fix)
    if request.test and "test" in sides:
        expected, fix = "test rows in one of the two", 'write test = "" there'
        raise UserError(f"{what}, with test rows, beside a test table", expected, fix)
    found: dict[str, Any] = {f"{side} {rule}s": each[1] for side, each in sides.items()}
    if rule == "time":
        [(dates,)] = engine.rows("SELECT COUNTIF(is_date) FROM sides")
        first, last = sides["eval"][2], sides["train"][3]
        found = {"eval rows from": time(first, dates), "train rows to": time(last, dates)}
    return found, f"{rows:,} row(s) have {NO_VALUE[rule]}" if rows else ""


def time(value: float, is_date: int) -> str:
    return date_of(value).removesuffix(" 00:00:00") if is_date else f"{value:.15g}"


def by_word(request: Request, schema: Schema) -> str:
    """Return SQL for `sides` of a column that names the split of each row."""
    sides = (
        f"WHEN value IN ({', '.join(map(cell_sql.literal, words))}) THEN '{side}'"
        for side, words in WORDS.items()
    )
    worded = f"SELECT *, LOWER({cell_sql.stripped('cell')}) AS value FROM ({COUNTED}) AS counted"
    return f"SELECT *, CASE {' '.join(sides)} END AS side FROM ({worded}) AS worded"


def by_group(request: Request, schema: Schema) -> str:
    """Return SQL for `sides` by a hash of the value; the smallest hash is evaluated on in any case."""
    is_eval = f"part < GREATEST({split_sql.eval_parts(request.eval_share)}, MIN(part) OVER () + 1)"
    side = f"IF({is_eval}, 'eval', 'train')"
    if request.fold:
        side = f"IF({split_sql.is_in_fold(sql.key('value'), *request.fold)}, 'test', {side})"
    return (
        f"WITH counted AS ({COUNTED}), valued AS (SELECT *, {cell_sql.value('cell', schema)} AS text FROM counted),"
        f" named AS (SELECT *, NULLIF({cell_sql.plain('text')}, '') AS value FROM valued),"
        f" hashed AS (SELECT *, MOD({sql.key('value')}, {sql.SPLIT_PARTS}) AS part FROM named)"
        f" SELECT *, IF(value IS NULL, NULL, {side}) AS side FROM hashed"
    )


def by_time(request: Request, schema: Schema) -> str:
    """Return SQL for `sides` by date, or by number where more cells are numbers: the latest rows are evaluated on.

    All rows of one time are on one side, so the cut is where it comes nearest to the share.
    """
    column, parts = request.rule[1], split_sql.eval_parts(request.eval_share)
    relations, dated = cell_sql.dated(replace(schema, columns={column: "datetime"}))
    finite = cell_sql.finite("number")
    return (
        f"WITH counted AS ({COUNTED}), cleaned AS (SELECT *, {cell_sql.known('cell', schema)} AS {date_column(0)} FROM counted),"
        f" {', '.join(relations)},"
        f" parsed AS (SELECT *, {cell_sql.days(date_column(0))} AS day, {cell_sql.number('cell', schema.units.get(column, ''), schema)} AS number FROM {dated}),"
        f" chosen AS (SELECT *, SUM(IF(day IS NULL, 0, table_rows)) OVER () >= SUM(IF({finite}, table_rows, 0)) OVER () AS is_date FROM parsed),"
        f" valued AS (SELECT cell, table_rows, is_date, IF(is_date, day, IF({finite}, number, NULL)) AS value FROM chosen),"
        " later AS (SELECT value, MIN(value) OVER () AS first_value, SUM(table_rows) OVER () AS all_rows,"
        " SUM(table_rows) OVER (ORDER BY value DESC) AS eval_rows FROM valued WHERE value IS NOT NULL),"
        f" cut AS (SELECT value FROM later WHERE value > first_value"
        f" ORDER BY ABS(eval_rows * {sql.SPLIT_PARTS} - all_rows * {parts}), value DESC LIMIT 1)"
        " SELECT *, IF(value IS NULL, NULL, IF(value >= (SELECT value FROM cut), 'eval', 'train')) AS side FROM valued"
    )
