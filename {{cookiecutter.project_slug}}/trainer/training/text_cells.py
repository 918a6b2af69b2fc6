"""The grammar of `trainer.data.cells` as TensorFlow operations, for the serving signatures. Text is a string tensor of any shape."""

import re
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from trainer.data import cells
from trainer.data.schema import Schema

NO_DATE = "1970-01-01 00:00+00:00 00"  # in the place of a missing one, whose days are not used


def read(given: Any, name: str, schema: Schema, dtype: Any = tf.float32) -> Any:
    """Return the numbers, NaN where missing, of cells that are given as numbers or text, of the column `name`."""
    if name in schema.raw.dates:
        return tf.cast(days(given, schema.markers, name in schema.day_first), dtype)
    if given.dtype == tf.string:
        given = numbers(given, schema.markers, schema.decimal, schema.units.get(name, ""))
    held = tf.cast(given, dtype)
    missing = tf.constant(schema.marker_numbers(name), dtype)
    return tf.where(tf.reduce_all(held[..., None] != missing, axis=-1), held, float("nan"))


def stripped(text: Any) -> Any:
    return tf.strings.regex_replace(text, f"^{cells.BLANK}+|{cells.BLANK}+$", "")


def value(text: Any) -> Any:
    """Return the values of categories that cells hold."""
    return replaced(stripped(text), cells.VALUES)


def replaced(text: Any, rules: cells.Rules) -> Any:
    for pattern, replacement in rules:
        text = tf.strings.regex_replace(text, f"^(?:{pattern})$", replacement)
    return text


def canonical(text: Any, grammar: cells.Grammar) -> Any:
    """Return the canonical form of text; what is not valid begins with `x`, so that its conversion fails."""
    text = replaced(text, (*grammar.worded, *grammar.rules))
    text = replaced(tf.strings.join(["x", text]), ((f"x({grammar.valid})", r"\1"),))
    for pattern, replacement in grammar.edits:
        text = tf.strings.regex_replace(text, pattern, replacement)
    return text


def words(text: Any, markers: Sequence[str], count: int) -> Any:
    """Return the first `count` words of texts, [rows, count], "" behind the last; texts are a vector."""
    spaced = tf.strings.regex_replace(tf.strings.lower(text), cells.NO_WORD, " ")
    held = tf.where(is_missing(text, markers), "", tf.strings.strip(spaced))
    return tf.strings.split(held, " ").to_tensor("", shape=[None, count])


def is_missing(text: Any, markers: Sequence[str]) -> Any:
    return tf.reduce_any(stripped(text)[..., None] == tf.constant(markers), axis=-1)


def numbers(text: Any, markers: Sequence[str], decimal: str, unit: str) -> Any:
    """Return the numbers of cells, float64, NaN where missing; fail where a cell is no number, or too large a one."""
    plain = "-?[0-9]{1,15}" + (r"(?:\.[0-9]{1,15})?" if decimal == "." else "")
    odd = ~tf.strings.regex_full_match(text, plain)
    if marked := [each for each in markers if re.fullmatch(plain, each)]:
        odd |= is_missing(text, marked)
    # The grammar takes ten times as long, and most cells need nothing of it.
    where = tf.where(odd)
    others = tf.gather_nd(text, where)
    held = canonical(stripped(others), cells.number_grammar(decimal, unit))
    held = tf.where(is_missing(others, markers), "nan", held)
    too_large = tf.abs(tf.strings.to_number(held, tf.float64)) > cells.LARGEST_FLOAT32
    text = tf.tensor_scatter_nd_update(text, where, tf.where(too_large, "x", held))
    return tf.strings.to_number(text, tf.float64)


def days(text: Any, markers: Sequence[str], day_first: bool) -> Any:
    """Return the days from 1970-01-01 00:00 UTC to the dates of cells, float64, NaN where missing; fail where one is no date."""
    missing = is_missing(text, markers)
    held = tf.where(missing, NO_DATE, canonical(stripped(text), cells.date_grammar(day_first)))

    def integer(first: int, length: int) -> Any:
        return tf.strings.to_number(tf.strings.substr(held, first, length), tf.int32)

    half = tf.strings.substr(held, 10, 1)
    hour = tf.where(half == " ", integer(11, 2), integer(11, 2) % 12)
    hour += tf.where(half == "p", 12, 0)
    zone = integer(17, 2) * 60 + integer(20, 2)
    zone = tf.where(tf.strings.substr(held, 16, 1) == "-", -zone, zone)
    seconds = tf.strings.to_number(tf.strings.substr(held, 23, 32), tf.float64)
    seconds += tf.cast((hour * 60 + integer(14, 2) - zone) * 60, tf.float64)
    day = days_from_civil(integer(0, 4), integer(5, 2), integer(8, 2))
    found = tf.cast(day, tf.float64) + seconds / cells.SECONDS_PER_DAY
    return tf.where(~missing, found, float("nan"))


def days_from_civil(year: Any, month: Any, day: Any) -> Any:
    """Return the days from 1970-01-01 to dates of the Gregorian calendar, int32.

    The year is counted from March, so that the leap day is its last. See Richards 2013, "Calendars".
    """
    early = (14 - month) // 12
    year, month = year + 4800 - early, month + 12 * early - 3
    leap_days = year // 4 - year // 100 + year // 400
    return day + (153 * month + 2) // 5 + 365 * year + leap_days - 2_472_633
