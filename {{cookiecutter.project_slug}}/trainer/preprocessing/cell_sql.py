"""Cells as SQL in BigQuery's dialect: numbers, dates, categories and words, by the rules of `trainer.data.cells`.

Work on each cell of each row costs most. So a number is cleaned only where it cannot be cast as it stands, and text is
kept as it stands and cleaned once per value, where values are counted and coded.
"""

from collections.abc import Iterator
from string import ascii_lowercase, ascii_uppercase

from trainer.data import cells
from trainer.data.schema import Schema
from trainer.preprocessing.columns import date_column

RULES_AT_ONCE = 12
NAMED = ("True", "TRUE", "False", "FALSE", "nan", "NaN")
MIDNIGHT = " 00:00+00:00 00"  # after the date of a canonical date
# Which texts may hold a number that engines read differently; an engine may search for less.
MAY_BE_MISREAD = "CREATE TEMP FUNCTION may_be_misread(text STRING) AS (STRPOS(text, '_') > 0 OR STRPOS(text, '0x') > 0 OR STRPOS(text, '0X') > 0)"


def literal(text: str) -> str:
    """Return `text` as a string literal of BigQuery."""
    escaped = (
        text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    )
    return f"'{escaped}'"


def stripped(column: str) -> str:
    """Return SQL for a text cell without surrounding blanks; cells that have none are not copied."""
    ascii_edges = f"{column} BETWEEN '!' AND '~' AND RIGHT({column}, 1) BETWEEN '!' AND '~'"
    return f"IF({ascii_edges}, {column}, TRIM({column}, {literal(cells.BLANKS)}))"


def known(column: str, schema: Schema) -> str:
    """Return SQL for a cell without surrounding blanks, NULL where it is a missing marker."""
    listed = ", ".join(map(literal, schema.markers))
    return f"IF({stripped(column)} IN ({listed}), NULL, {stripped(column)})"


def value(column: str, schema: Schema) -> str:
    """Return SQL for the value of a category that a cell holds, NULL where it is missing."""
    listed = ", ".join(map(literal, schema.markers))
    held = replaced(stripped(column), cells.VALUES)
    return f"IF({held} IN ({listed}), NULL, {held})"


def replaced(text: str, rules: cells.Rules) -> str:
    """Return SQL for text after each rule that matches it completely."""
    for pattern, replacement in rules:
        text = edited(text, f"^(?:{pattern})$", replacement)
    return text


def edited(text: str, pattern: str, replacement: str) -> str:
    return f"REGEXP_REPLACE({text}, {literal(pattern)}, {literal(replacement)})"


def canonical(text: str, grammar: cells.Grammar) -> str:
    """Return SQL for the canonical form of text; what is not valid begins with `x`, so that no cast takes it."""
    return validated(replaced(text, grammar.rules), grammar)


def validated(text: str, grammar: cells.Grammar) -> str:
    """Return SQL for text to which the rules of its grammar have been applied, with `x` before what is not valid."""
    text = replaced(f"CONCAT('x', {text})", ((f"x({grammar.valid})", r"\1"),))
    for pattern, replacement in grammar.edits:
        text = edited(text, pattern, replacement)
    return text


def words(column: str, schema: Schema) -> str:
    """Return SQL for the words of a text cell, at least `Schema.text_words`: ARRAY<STRING>, [''] where it has none or is missing."""
    lower = f"TRANSLATE({column}, '{ascii_uppercase}', '{ascii_lowercase}')"
    first = "^(?:[^ ]+ ){0," + f"{schema.text_words - 1}" + "}[^ ]+"
    found = f"REGEXP_EXTRACT(TRIM({edited(lower, cells.NO_WORD, ' ')}), {literal(first)})"
    return f"SPLIT(IF({known(column, schema)} IS NULL, '', IFNULL({found}, '')), ' ')"


def functions(schema: Schema) -> Iterator[str]:
    """Yield SQL that defines functions for what the queries need of many columns: translating it for each takes longer."""
    yield MAY_BE_MISREAD
    yield f"CREATE TEMP FUNCTION known_cell(cell STRING) AS ({known('cell', schema)})"
    yield f"CREATE TEMP FUNCTION plain_cell(cell STRING) AS ({plain('cell')})"
    for position, unit in enumerate(number_units(schema)):
        expression = number("cell", unit, schema, "underscored")
        yield f"CREATE TEMP FUNCTION number_{position}(cell STRING, underscored BOOL) AS ({expression})"


def plain(cell: str) -> str:
    """Return SQL for a cell as it counts in a key: a boolean in lower case, NaN as no text."""
    return f"IF({cell} IN {NAMED}, REPLACE(LOWER({cell}), 'nan', ''), {cell})"


def number_units(schema: Schema) -> list[str]:
    """Return the different units of numbers, the empty one first: each has a grammar of its own."""
    return list(dict.fromkeys(["", *schema.units.values()]))


def number_of(column: str, name: str, schema: Schema, underscored: str = "underscored") -> str:
    """Return SQL that calls the function for `number` with the unit of a column."""
    position = number_units(schema).index(schema.units.get(name, ""))
    return f"number_{position}({column}, {underscored})"


def number(column: str, unit: str, schema: Schema, underscored: str = "TRUE") -> str:
    """Return SQL for a cell of a numeric column as FLOAT64, NULL where it is no number; what is missing may still be NaN.

    Where `underscored` is false, no cell of the row has an underscore or 0x.
    """
    plain, text = plain_number(column, schema, underscored), stripped(column)
    odd = cast(canonical(text, cells.number_grammar(schema.decimal, unit)))
    # Within IFNULL, DuckDB would strip each cell, because that is in it twice.
    return f"IF({plain} IS NULL, IF({known(column, schema)} IS NULL, NULL, IFNULL({plain_number(text, schema, underscored)}, {odd})), {plain})"


def plain_number(text: str, schema: Schema, underscored: str) -> str:
    """Return SQL for text that can be cast as it stands; engines differ about 1_000, 0x46 and what is before -, such as +-1."""
    dotted = f" OR STRPOS({text}, '.') > 0" if schema.decimal == "," else ""
    return f"IF({text} < '-' OR ({underscored} AND REGEXP_CONTAINS({text}, '_|0[xX]')){dotted}, NULL, {cast(text)})"


def cast(column: str) -> str:
    return f"SAFE_CAST({column} AS FLOAT64)"


def dated(schema: Schema) -> tuple[list[str], str]:
    """Return SQL of the relations that make the dates of `cleaned` canonical, and the name of the last.

    Each applies a few rules to all date columns: sqlglot cannot parse an expression of all.
    """
    dates = (
        date_steps(date_column(index), cells.date_grammar(name in schema.day_first))
        for index, name in date_columns(schema)
    )
    relations, last = [], "cleaned"
    for number, step in enumerate(zip(*dates, strict=True)):
        relations.append(f"dated_{number} AS (SELECT * REPLACE ({', '.join(step)}) FROM {last})")
        last = f"dated_{number}"
    return relations, last


def date_columns(schema: Schema) -> list[tuple[int, str]]:
    """Return the index and the name of each datetime column."""
    return [(index, name) for index, name in enumerate(schema.numeric) if name in schema.dates]


def date_steps(column: str, grammar: cells.Grammar) -> Iterator[str]:
    """Yield SQL expressions that make a date canonical, as `cells.date_grammar` describes it, one after another."""
    plain = f"REGEXP_CONTAINS({column}, {literal(f'^(?:{cells.CALENDAR_DATE})$')})"
    yield f"IF({plain}, CONCAT({column}, '{MIDNIGHT}'), {column}) AS {column}"
    done = f"ENDS_WITH({column}, '{MIDNIGHT}')"
    worded = f"REGEXP_CONTAINS({column}, {literal(cells.WORD)})"
    for condition, rules in (
        (f"NOT {done} AND {worded}", grammar.worded),
        (f"NOT {done}", grammar.rules),
    ):
        for first in range(0, len(rules), RULES_AT_ONCE):
            text = replaced(column, rules[first : first + RULES_AT_ONCE])
            yield f"IF({condition}, {text}, {column}) AS {column}"
    yield f"{validated(column, grammar)} AS {column}"


def days(text: str) -> str:
    """Return SQL for the days from 1970-01-01 00:00 UTC to a canonical date, FLOAT64, NULL where it is none."""

    def integer(first: int, length: int) -> str:
        return f"SAFE_CAST(SUBSTR({text}, {first}, {length}) AS INT64)"

    day = f"DATE_DIFF(SAFE_CAST(SUBSTR({text}, 1, 10) AS DATE), DATE '1970-01-01', DAY)"
    half = f"IF(SUBSTR({text}, 11, 1) = ' ', {integer(12, 2)}, MOD({integer(12, 2)}, 12))"
    afternoon = f"IF(SUBSTR({text}, 11, 1) = 'p', 12, 0)"
    zone = f"IF(SUBSTR({text}, 17, 1) = '-', -1, 1) * ({integer(18, 2)} * 60 + {integer(21, 2)})"
    minutes = f"(({half} + {afternoon}) * 60 + {integer(15, 2)} - {zone})"
    seconds = f"({minutes} * 60 + {cast(f'SUBSTR({text}, 24)')})"
    return f"{day} + {seconds} / {cells.SECONDS_PER_DAY}"


def finite(value: str) -> str:
    """Return SQL for whether a number fits in float32; not true of NaN and NULL."""
    return f"IFNULL(ABS({value}) <= {cells.LARGEST_FLOAT32}, FALSE)"


def is_marker(number: str, name: str, schema: Schema) -> str:
    """Return SQL for whether a number is a missing marker of its column, such as -999; not true of NULL."""
    listed = ", ".join(map(str, schema.marker_numbers(name)))
    return f"IFNULL({number} IN ({listed}), FALSE)" if listed else "FALSE"
