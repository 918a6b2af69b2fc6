"""The preparation as SQL in BigQuery's dialect; it runs in DuckDB, and unchanged where tables are larger.

Input is a relation `source` with the columns as text, `c0` … `cN` in the order of `Schema.sources`, and `label`; an empty
cell is '', never NULL.

`cell_sql` holds the SQL for single cells.
"""

import itertools
from collections.abc import Collection, Iterable, Sequence

from trainer.data.schema import Schema
from trainer.data.statistics import MISSING_CODE, UNSEEN_CODE
from trainer.preprocessing.cell_sql import (
    NAMED,
    cast,
    date_columns,
    dated,
    days,
    finite,
    is_marker,
    literal,
    number_of,
    value,
    words,
)
from trainer.preprocessing.columns import (
    code_column,
    codes_table,
    date_column,
    number_column,
    raw_column,
    text_column,
)

SEPARATOR = "\x1f"  # between the cells of a row's text
END = f"({SEPARATOR}|$)"
IN_UTC = (f"(:[0-9][0-9](?:[.][0-9]+)?)[+]00(?::00)?{END}", r"\1\2")
LAST_ZEROS = (f"(?:[.]0+|([.][0-9]*[1-9])0+){END}", r"\1\2")
AT_MIDNIGHT = (f" 00:00:00{END}", r"\1")
KEYS = 1 << 60  # how many different ones there are
SPLIT_PARTS = 10_000
PART = f"MOD(row_key, {SPLIT_PARTS})"
NUMBERS_AT_ONCE = 500  # BigQuery takes a statement of less than 1 MB
JOINS_AT_ONCE = 50  # thousands nest too deeply for DuckDB, and exceed BigQuery's limit of tables
CELLS_IN_MEMORY = 1 << 24  # of all columns that are not joined, some 300 MB


def later_numbers(schema: Schema) -> list[range]:
    """Return the indices of the numeric columns that `validated_rows` leaves as text, in parts for `with_numbers`."""
    count = len(schema.of_kind("numeric"))
    firsts = range(NUMBERS_AT_ONCE, count, NUMBERS_AT_ONCE)
    return [range(first, min(first + NUMBERS_AT_ONCE, count)) for first in firsts]


def with_numbers(table: str, schema: Schema, part: range) -> str:
    """Return SQL for a table of validated rows with the texts of some numeric columns, which `x<index>` hold, replaced by numbers."""
    columns = [(schema.numeric[index], number_column(index)) for index in part]
    numbers = [f"{number_of(x, name, schema, 'TRUE')} AS new_{x}" for name, x in columns]
    cases = [
        unusable(f"new_{x}", f"known_cell({x})", x, name, "finite number") for name, x in columns
    ]
    kept = [f"{kept_number(f'new_{x}', name, schema)} AS {x}" for name, x in columns]
    cells = "IF(unusable IS NULL, NULL, cells)" if part == later_numbers(schema)[-1] else "cells"
    return (
        f"WITH numbered AS (SELECT *, {', '.join(numbers)} FROM {table}),"
        f" validated AS (SELECT *, IFNULL(reason, CASE {' '.join(cases)} ELSE NULL END) AS unusable FROM numbered)"
        f" SELECT * EXCEPT (unusable, {', '.join(f'new_{x}' for _, x in columns)})"
        f" REPLACE (unusable AS reason, {cells} AS cells, {', '.join(kept)}) FROM validated"
    )


def first_numbers(schema: Schema) -> list[tuple[int, str]]:
    """Return index and name of the columns that `validated_rows` makes numbers of: dates, and not too many others."""
    later = len(schema.of_kind("numeric"))
    return [each for each in enumerate(schema.numeric) if not NUMBERS_AT_ONCE <= each[0] < later]


def number_columns(schema: Schema) -> list[str]:
    """Return SQL for those numbers of a row, `x0` …, that are not read later."""
    return [
        f"{days(date_column(index)) if name in schema.dates else number_of(raw_column(index), name, schema)}"
        f" AS {number_column(index)}"
        for index, name in first_numbers(schema)
    ]


def rejection(schema: Schema, *more: str) -> str:
    """Return SQL for why a row cannot be used, NULL where it can; `x<index>` and `y` are the numbers of the row.

    `more` are further branches of CASE.
    """
    cases = [
        unusable(
            number_column(index),
            f"known_cell({raw_column(index)})",
            raw_column(index),
            name,
            "date" if name in schema.dates else "finite number",
        )
        for index, name in first_numbers(schema)
    ]
    if schema.task == "regression":
        cases.append(unusable("y", "label", "label", schema.label, "finite number"))
    cases += more
    missing_label = f"WHEN label IS NULL THEN {literal(f'{schema.label}: the label is missing')}"
    return f"CASE {missing_label} {' '.join(cases)} ELSE NULL END"


def unusable(value: str, text: str, shown_text: str, name: str, kind: str) -> str:
    """Return a branch of CASE for a cell that is neither missing nor a finite number."""
    reason = f"CONCAT({literal(name)}, ': ', SUBSTR({shown_text}, 1, 60), ' is not a {kind}')"
    return f"WHEN NOT {finite(value)} AND {text} IS NOT NULL THEN {reason}"


def validated_rows(
    schema: Schema, deduplicate: bool, split_column: str = "", weight_column: str = ""
) -> str:
    """Return SQL that casts and validates each row of `source`.

    Columns: `x0` … numbers, those of `later_numbers` yet as text, `t0` … text as it stands, `label`, `reason` (NULL for a valid row),
    `cells` (the text of an invalid row, or of all while numbers are text), two INT64: `row_key`, made of the MD5 of all columns of the table in the order of their
    names, and `content_key`, of those that are used; `split_cell`, the text of `split_column`, and `weight`, FLOAT64, if
    there is such a column.
    """
    columns = [raw_column(index) for index in range(len(schema.sources))]
    by_name = dict(zip((*schema.sources, schema.label), (*columns, "label"), strict=True))
    used = [*columns[: len(schema.used)], "label"]
    keyed, keys, both = keyed_rows([by_name[name] for name in sorted(by_name)], used)
    label = f"CAST({schema.label_sql} AS STRING)" if schema.label_sql else "label"
    dates = [
        f"known_cell({raw_column(index)}) AS {date_column(index)}"
        for index, _ in date_columns(schema)
    ]
    relations, last = dated(schema)
    numbers = number_columns(schema)
    weights, more = ["weight"] * bool(weight_column), []
    if weights:
        text, positive = by_name[weight_column], "IF(weight >= 0, weight, NULL)"
        numbers.append(f"{number_of(text, weight_column, schema)} AS weight")
        more.append(unusable(positive, "''", text, weight_column, "finite number >= 0"))
    regression = schema.task == "regression"
    y = f", {number_of('label', schema.label, schema)} AS y" if regression else ""
    cells = [f"{by_name[split_column]} AS split_cell"] if split_column else []
    # BigQuery has no partitions by numbers with a fraction.
    equal = ", ".join(["content_key", *["CAST(weight AS STRING)"] * bool(weights)])
    unique = f"QUALIFY ROW_NUMBER() OVER (PARTITION BY {equal} ORDER BY row_key) = 1"
    cells_of_row = joined([*columns, "label"])
    if not later_numbers(schema):
        cells_of_row = f"IF(reason IS NULL, NULL, {cells_of_row})"
    return (
        f"WITH {keyed},"
        f" cleaned AS (SELECT {', '.join([*columns, *dates])}, known_cell(label) AS label, may_be_misread(row_text) AS underscored, {keys} FROM texts),"
        f" {''.join(f'{relation}, ' for relation in relations)}"
        f" labelled AS (SELECT {', '.join([*columns, *numbers])}, {label} AS label, underscored, {both} FROM {last}),"
        f" numbered AS (SELECT *{y} FROM labelled),"
        f" validated AS (SELECT *, {rejection(schema, *more)} AS reason FROM numbered)"
        f" SELECT {', '.join(kept_columns(schema))}, {kept_label(schema)} AS label, reason,"
        f" {cells_of_row} AS cells, {', '.join(['row_key', 'content_key', *cells, *weights])} FROM validated"
        f" {unique if deduplicate else ''}"
    )


def keyed_rows(in_order: Sequence[str], used: Sequence[str]) -> tuple[str, str, str]:
    """Return SQL for the relation `texts`, the rows of `source` with what keys are made of, for the keys, and for both of a row.

    `in_order` are all columns of the table, `used` those of the schema; where these are all, one key is computed.
    """
    joins, texts = [f"{joined(in_order)} AS cells"], [f"{row_text(in_order, 'cells')} AS row_text"]
    keys, both = f"{key('row_text')} AS row_key", "row_key, row_key AS content_key"
    if len(used) < len(in_order):
        joins.append(f"{joined(used)} AS used_cells")
        texts.append(f"{row_text(used, 'used_cells')} AS content")
        keys, both = f"{keys}, {key('content')} AS content_key", "row_key, content_key"
    relations = (
        f"joined AS (SELECT *, {', '.join(joins)} FROM source),"
        f" texts AS (SELECT *, {', '.join(texts)} FROM joined)"
    )
    return relations, keys, both


def kept_label(schema: Schema) -> str:
    """Return SQL for the label: a number in a form that can be cast as it stands."""
    if schema.task != "regression":
        return "label"
    number = f"IF({cast('label')} = y, label, IFNULL(CAST(y AS STRING), label))"
    return f"IF({is_marker('y', schema.label, schema)}, NULL, {number})"


def joined(cells: Sequence[str]) -> str:
    return f"ARRAY_TO_STRING([{', '.join(cells)}], {literal(SEPARATOR)})"


def row_text(cells: Sequence[str], text: str) -> str:
    """Return SQL for the cells of a row as one text, `joined`, with booleans in lower case and without NaN."""
    # A search of the whole row takes half the time of comparing each cell.
    found = " OR ".join(f"STRPOS({text}, '{name}') > 0" for name in NAMED)
    return f"IF({found}, {joined([f'plain_cell({cell})' for cell in cells])}, {text})"


def key(text: str) -> str:
    """Return SQL for an INT64 below `KEYS`, so never negative, made of the MD5 of a row's text."""
    digits = f"TO_HEX(MD5({plain(text)}))"
    return f"CAST(CONCAT('0x', SUBSTR({digits}, 1, 15)) AS INT64)"


def plain(text: str) -> str:
    """Return SQL for a row's text as it counts in a key: 1.50 as 1.5, 3.0 as 3, and a time in UTC without its zone, or midnight.

    CSV and Parquet files, and the programs that write them, differ in these.
    """
    has_time = f"STRPOS({text}, ':') > 0"
    has_zeros = f"REGEXP_CONTAINS({text}, r'[.][0-9]*0{END}')"

    def edited_if(condition: str, held: str, rule: tuple[str, str]) -> str:
        return f"IF({condition}, REGEXP_REPLACE({held}, r'{rule[0]}', r'{rule[1]}'), {held})"

    timed = edited_if(has_time, text, IN_UTC)
    zeroed = edited_if(f"{has_time} OR {has_zeros}", timed, LAST_ZEROS)
    return edited_if(has_time, zeroed, AT_MIDNIGHT)


def kept_columns(schema: Schema) -> list[str]:
    """Return SQL for the columns that later steps read: numbers as such, the rest as text."""
    count = len(schema.numeric)
    first = first_numbers(schema)
    numbers = [
        f"{kept_number(number_column(each[0]), each[1], schema) if each in first else raw_column(each[0])}"
        f" AS {number_column(each[0])}"
        for each in enumerate(schema.numeric)
    ]
    return numbers + [
        f"{raw_column(count + index)} AS {text_column(index)}"
        for index in range(len(schema.textual))
    ]


def kept_number(number: str, name: str, schema: Schema) -> str:
    """Return SQL for a number, NULL where it is a missing marker of its column or none that fits in float32."""
    usable = f"{finite(number)} AND NOT {is_marker(number, name, schema)}"
    return f"IF({usable}, {number}, NULL)"


def summary(schema: Schema) -> str:
    """Return SQL for one row: per numeric column minimum, maximum, mean, deviation and missing count."""
    columns = [
        f"MIN({number}), MAX({number}), AVG({number}), STDDEV_POP({number}), COUNTIF({number} IS NULL)"
        for number in map(number_column, range(len(schema.numeric)))
    ]
    return f"SELECT {', '.join(columns)} FROM prepared WHERE split = 'train'"


def sample(schema: Schema, share: float) -> str:
    """Return SQL for the numeric columns of a share of the training rows, chosen by their key."""
    columns = ", ".join(map(number_column, range(len(schema.numeric))))
    part = f"MOD(DIV(row_key, {SPLIT_PARTS}), {SPLIT_PARTS})"  # other digits than those of PART
    threshold = max(1, round(share * SPLIT_PARTS))
    return f"SELECT {columns} FROM prepared WHERE split = 'train' AND {part} < {threshold}"


def class_counts(split: str, count: str = "COUNT(*)") -> str:
    return f"SELECT label, {count} FROM prepared WHERE split = {literal(split)} GROUP BY label"


def weighted_moments() -> str:
    """Return SQL for one row: mean and deviation of the numbers that label the training rows, by their weights."""
    number = cast("label")
    mean = f"SUM(weight * {number}) OVER () / SUM(weight) OVER ()"
    rows = f"SELECT weight, {number} AS y, {mean} AS mean FROM prepared WHERE split = 'train'"
    return f"SELECT mean, SQRT(SUM(weight * POW(y - mean, 2)) / SUM(weight)) FROM ({rows}) AS numbered GROUP BY mean"


def cells(index: int, schema: Schema) -> str:
    """Return SQL for the distinct cells of a coded column: cell, value, number of training rows."""
    column = text_column(index)
    counted = f"SELECT {column} AS cell, COUNTIF(split = 'train') AS train_rows FROM prepared GROUP BY cell"
    return f"SELECT cell, {value('cell', schema)} AS value, train_rows FROM ({counted}) AS counted"


def value_counts(counted: str, limit: int) -> str:
    """Return SQL for the most frequent values of the training rows, most frequent first, from what `cells` counts."""
    return (
        f"SELECT value, SUM(train_rows) AS frequency FROM {counted} WHERE value IS NOT NULL AND train_rows > 0"
        f" GROUP BY value ORDER BY frequency DESC, value LIMIT {limit}"
    )


def cell_codes(counted: str, codes: str) -> str:
    """Return SQL for the code of each cell that `cells` counts, by its value in the table `codes`."""
    code = f"IF(cells.value IS NULL, {MISSING_CODE}, IFNULL({codes}.code, {UNSEEN_CODE}))"
    return (
        f"SELECT cells.cell AS cell, {code} AS code FROM {counted} AS cells"
        f" LEFT JOIN {codes} ON {codes}.value = cells.value"
    )


def hashed_codes(counted: str, buckets: int) -> str:
    """Return SQL for the code of each cell of a hashed column, as the serving signature computes it; `buckets` is a power of 2."""
    bucket = f"FARM_FINGERPRINT(value) & {buckets - 1}"  # MOD is negative for half of the values
    return f"SELECT cell, IF(value IS NULL, {MISSING_CODE}, 1 + ({bucket})) AS code FROM {counted}"


def examples(columns: Iterable[str], split: str, count: int) -> str:
    """Return SQL for some columns of the first rows of a split."""
    return (
        f"SELECT {', '.join(columns)} FROM prepared WHERE split = {literal(split)}"
        f" ORDER BY row_key LIMIT {count}"
    )


def share_of_test_in_train() -> str:
    """Return SQL for the share of the different test rows that are rows of the train table, too."""
    test = "SELECT DISTINCT content_key FROM prepared WHERE split = 'test'"
    return (
        f"SELECT COUNT(DISTINCT content_key) / (SELECT COUNT(*) FROM ({test}) AS test) FROM prepared"
        f" WHERE split <> 'test' AND content_key IN ({test})"
    )


def share_of_equal_rows() -> str:
    """Return SQL for the share of rows of the train table that equal another row of it."""
    counted = "SELECT COUNT(*) AS copies FROM prepared WHERE split <> 'test' GROUP BY content_key"
    return f"SELECT SUM(IF(copies > 1, copies, 0)) / SUM(copies) FROM ({counted}) AS counted"


def joined_columns(cells: Sequence[int]) -> frozenset[int]:
    """Return which coded columns `encoded` joins to their codes, from the number of different cells of each.

    These are the columns of most cells: the cells of all others fit in memory.
    """
    rising = sorted(range(len(cells)), key=lambda index: cells[index])
    totals = itertools.accumulate(cells[index] for index in rising)
    fitting = sum(total <= CELLS_IN_MEMORY for total in totals)
    return frozenset(rising[max(0, min(fitting, len(cells) - JOINS_AT_ONCE)) :])


def encoded(schema: Schema, split: str, joins: Collection[int], weighted: bool = False) -> str:
    """Return SQL for one split as numbers and codes; of coded columns that are not in `joins` it has the texts.

    Columns: `x0` … FLOAT64, `k0` … INT64 (0 where missing) or `t0` … text, words of texts, `weight` FLOAT64 if rows are weighted, `label` INT64 or FLOAT64, `row_key`. The order is that of the rows' keys:
    always the same, and as good as shuffled, however the table was sorted.
    """
    numbers = [f"r.{number_column(index)}" for index in range(len(schema.numeric))]
    count = len(schema.coded)
    codes = [
        f"{codes_table(index)}.code AS {code_column(index)}"
        if index in joins
        else f"r.{text_column(index)}"
        for index in range(count)
    ]
    texts = map(text_column, range(count, len(schema.textual)))
    lists = [f"{words(f'r.{text}', schema)} AS {text}" for text in texts]
    tables = [
        f"JOIN {codes_table(index)} ON {codes_table(index)}.cell = r.{text_column(index)}"
        for index in sorted(joins)
    ]
    if schema.task == "regression":
        label = f"{cast('r.label')} AS label"
    else:
        label = "classes.code AS label"
        tables.append("JOIN classes ON classes.value = r.label")
    return (
        f"SELECT {', '.join([*numbers, *codes, *lists, *['r.weight'] * weighted, label, 'r.row_key'])} FROM prepared AS r {' '.join(tables)}"
        f" WHERE r.split = {literal(split)} ORDER BY r.row_key"
    )
