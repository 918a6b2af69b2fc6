"""The table as the trainer sees it: `features.py` read, checked and typed."""

import ast
import difflib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from trainer.data import cells, expressions
from trainer.data.expressions import Node
from trainer.run.errors import UserError, nearest, shown

VOCABULARY_KINDS = ("categorical",)
KINDS = ("numeric", "datetime", *VOCABULARY_KINDS, "hashed", "text", "ignore")
TASKS = ("binary", "multiclass", "regression")
CHANGING = (
    r"\b(rand|random|now|today|(?:gen\w*_)?(?:random_)?uuid|current_\w+|session_user|getenv)\b"
)
# So that SQL and TensorFlow agree on the bucket.
POWERS_OF_TWO = ([1 << power for power in range(1, 25)], "a power of two from 2 to 16_777_216")
SIZES = {
    "vocabulary_limit": (range(1, 1 << 31), "at least 1 value per categorical column"),
    "hash_buckets": POWERS_OF_TWO,
    "text_buckets": POWERS_OF_TWO,
    "text_words": (range(2, 1001), "2 to 1_000 words per text"),
    "boundaries": (range(2, 257), "2 to 256 quantile boundaries per numeric column"),
}
# So that projects of earlier versions still train.
OPTIONAL = ("encoding", "decimal", "units", "day_first", "text_words", "text_buckets", "derived")
TEXTS = tuple[str, ...]
KINDS_BY_NAME = dict[str, str]
EXPECTED = {
    str: "text in quotes",
    int: "an integer",
    TEXTS: "a list of texts",
    KINDS_BY_NAME: "a dictionary of column names and kinds, all text in quotes",
}


@dataclass(frozen=True)
class Schema:
    """Columns by kind, in the order of `features.py`, and how to read and label the table."""

    label: str
    task: str
    positive: str
    label_sql: str
    columns: dict[str, str]
    missing: tuple[str, ...]
    delimiter: str
    comment: str
    header: tuple[str, ...]
    vocabulary_limit: int
    hash_buckets: int
    boundaries: int
    encoding: str = "utf-8"
    decimal: str = "."
    units: KINDS_BY_NAME = field(default_factory=dict)
    day_first: TEXTS = ()
    text_words: int = 64
    text_buckets: int = 1 << 16
    derived: KINDS_BY_NAME = field(default_factory=dict)

    @cached_property
    def expressions(self) -> dict[str, Node]:
        """The tree of each derived column that is used; raises `UserError` for one that is invalid."""
        trees = expressions.parsed(self.derived, self.columns)
        return {name: tree for name, tree in trees.items() if self.columns[name] != "ignore"}

    @cached_property
    def raw(self) -> "Schema":
        """The schema without derived columns, in which an ignored column that they read has the kind that it is read as."""
        read = expressions.columns_read(self.expressions)
        table = {name: kind for name, kind in self.columns.items() if name not in self.derived}
        ignored = {name: kind for name, kind in read.items() if table[name] == "ignore"}
        return replace(self, columns=table | ignored, derived={}) if self.derived else self

    def of_kind(self, *kinds: str) -> tuple[str, ...]:
        return tuple(name for name, kind in self.columns.items() if kind in kinds)

    @property
    def numeric(self) -> tuple[str, ...]:
        """Names of the columns that become a number: those of numbers, then those of dates."""
        return self.of_kind("numeric") + self.dates

    @property
    def markers(self) -> tuple[str, ...]:
        """Cells that hold no value, without blanks around them, in each form that they can have."""
        return tuple(dict.fromkeys(("", *self.missing, *map(cells.value, self.missing))))

    def marker_numbers(self, name: str) -> tuple[float, ...]:
        """Return the missing markers of a numeric column, or label, that are numbers, such as -999."""
        if name in (*self.dates, *self.derived):
            return ()
        unit = self.units.get(name, "")
        numbers = (cells.number(each, self.decimal, unit) for each in self.missing)
        return tuple(each for each in numbers if each is not None)

    def value(self, cell: str) -> str | None:
        """Return the value of a category that a cell holds, None if it is missing."""
        held = cells.value(cell)
        return None if held in self.markers else held

    @property
    def dates(self) -> tuple[str, ...]:
        """Names of the columns that become days since 1970-01-01."""
        return self.of_kind("datetime")

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """Names of the columns whose frequent values get a code each."""
        return self.of_kind(*VOCABULARY_KINDS)

    @property
    def hashed(self) -> tuple[str, ...]:
        return self.of_kind("hashed")

    @property
    def coded(self) -> tuple[str, ...]:
        """Names of the columns that become integer codes: those with a vocabulary first."""
        return self.vocabulary + self.hashed

    @property
    def texts(self) -> tuple[str, ...]:
        """Names of the columns of free text, whose words become codes."""
        return self.of_kind("text")

    @property
    def textual(self) -> tuple[str, ...]:
        """Names of the columns that are read as text: those of one code each first."""
        return self.coded + self.texts

    @property
    def buckets(self) -> dict[str, int]:
        """The number of buckets of each column whose values, or words, are hashed."""
        hashed = dict.fromkeys(self.hashed, self.hash_buckets)
        return hashed | dict.fromkeys(self.texts, self.text_buckets)

    @property
    def code_width(self) -> int:
        """The number of codes of a row: one for each coded column, then those of the words of each text."""
        return len(self.coded) + len(self.texts) * self.text_words

    @property
    def used(self) -> tuple[str, ...]:
        """Names of all columns that are trained on; serving reads those of `raw`."""
        return self.numeric + self.textual

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of all columns of the table but the label, those that are used first."""
        return self.raw.used + self.raw.of_kind("ignore")


def read_schema(features: ModuleType) -> Schema:
    """Return the schema that the module `features` declares, or raise `UserError`."""
    check_source(features)
    values: dict[str, Any] = {}
    for name, wanted in Schema.__annotations__.items():
        if not hasattr(features, name.upper()):
            if name in OPTIONAL:
                continue
            raise invalid(f"it has no {name.upper()}", EXPECTED[wanted], f"add {name.upper()}")
        value = getattr(features, name.upper())
        if not is_of_type(value, wanted):
            remedy = f"write {name.upper()} = {example(value, wanted)}"
            raise invalid(f"{name.upper()} is {shown(value)}", EXPECTED[wanted], remedy)
        values[name] = tuple(value) if wanted == TEXTS else value
    schema = Schema(**values)
    check(schema)
    return schema


def invalid(what: str, expected: str, remedy: str) -> UserError:
    return UserError(f"trainer/features.py: {what}", expected, remedy)


def check_source(features: ModuleType) -> None:
    """Raise `UserError` for a key that a dictionary has twice: Python silently keeps the last."""
    tree = ast.parse(Path(str(features.__file__)).read_bytes())
    for dictionary in (node for node in ast.walk(tree) if isinstance(node, ast.Dict)):
        first: dict[Any, ast.Constant] = {}
        for key in (key for key in dictionary.keys if isinstance(key, ast.Constant)):
            earlier = first.setdefault(key.value, key)
            if earlier is not key:
                lines = f"lines {earlier.lineno} and {key.lineno}"
                what = f"{shown(key.value)} is a key twice, in {lines}"
                raise invalid(what, "each column once, with one kind", "remove one of the two")


def unused_columns(features: ModuleType, schema: Schema) -> dict[str, list[str]]:
    """Return the ignored columns by reason: the comment beside each in the source of `features`."""
    text = Path(str(features.__file__)).read_text(encoding="utf-8")
    comment = r'^\s*("(?:[^"\\]|\\.)*")\s*:\s*"ignore"\s*,?\s*#\s*(.+)$'
    commented = re.findall(comment, text, re.MULTILINE)
    reasons = {ast.literal_eval(name): reason for name, reason in commented}
    found: dict[str, list[str]] = {}
    for name, kind in features.COLUMNS.items():
        if kind == "ignore" and name not in schema.raw.used:
            found.setdefault(reasons.get(name, "ignore in trainer/features.py"), []).append(name)
    return found


def is_of_type(value: Any, wanted: Any) -> bool:
    if wanted == TEXTS:
        return are_texts(value)
    if wanted == KINDS_BY_NAME:
        return isinstance(value, dict) and are_texts([*value])  # the kinds are checked one by one
    return type(value) is wanted


def are_texts(values: object) -> bool:
    return isinstance(values, (list, tuple)) and all(isinstance(value, str) for value in values)


def example(value: Any, wanted: Any) -> str:
    """Return what the user may have meant, as Python."""
    if wanted is str:
        return shown("" if value is None else str(value))
    if wanted == TEXTS:
        single = isinstance(value, str) or not isinstance(value, Iterable)
        return shown([str(each) for each in ([value] if single else value) if each is not None])
    return "24, for example" if wanted is int else '{"age": "numeric"}, for example'


def check(schema: Schema) -> None:
    check_choice("TASK", schema.task, TASKS)
    for name, kind in schema.columns.items():
        check_choice(f"the kind of column {shown(name)}", kind, KINDS)
    expressions.columns_read(schema.expressions)
    check_columns(schema)
    check_format(schema)
    check_sizes(schema)


def check_choice(where: str, value: Any, choices: tuple[str, ...]) -> None:
    """Raise `UserError` unless `value` is one of `choices`; offer the nearest spelling."""
    if value in choices:
        return
    near = difflib.get_close_matches(str(value).strip().lower(), choices, n=1)
    remedy = f"write {near[0]!r}, if that is what you mean" if near else "write one of these"
    raise invalid(f"{where} is {shown(value)}", f"one of {', '.join(choices)}", remedy)


def check_columns(schema: Schema) -> None:
    if schema.label in schema.columns:
        what = f"COLUMNS holds the label {shown(schema.label)}"
        raise invalid(what, "the label in LABEL alone", "take it out of COLUMNS")
    if not schema.used:
        expected = "at least one numeric, datetime, categorical, hashed or text column"
        remedy = "change the kind of a column that helps to predict the label"
        raise invalid("every column is ignored", expected, remedy)
    if "self" in schema.raw.used:
        expected = "a name that a TensorFlow serving signature can take"
        remedy = "rename the column in the table, or give it the kind 'ignore'"
        raise invalid("a column is called 'self'", expected, remedy)
    if schema.task == "binary" and not schema.positive:
        expected = "the class whose probability is predicted"
        raise invalid('POSITIVE is ""', expected, "write one of the two classes")


def check_format(schema: Schema) -> None:
    """Raise `UserError` for a format that no reader takes, changing labels, or a header without the columns."""
    for name, mark, usual in (
        ("COMMENT", schema.comment, "#"),
        ("DELIMITER", schema.delimiter, ","),
    ):
        if len(mark) > 1 or mark in ('"', "\n", "\r") or schema.comment == schema.delimiter != "":
            expected = "one character that is neither a quote, a line end nor used otherwise"
            remedy = f'write {name} = "{usual}", for example'
            raise invalid(f"{name} is {shown(mark)}", expected, remedy)
    check_encoding(schema.encoding)
    outside_texts = re.sub(r"'[^']*'|\"[^\"]*\"", "", schema.label_sql)
    if changing := re.search(CHANGING, outside_texts, re.IGNORECASE):
        what = f"LABEL_SQL calls {changing[0]}, which is another value each time"
        expected = "the same labels on every machine and every day"
        raise invalid(what, expected, "write the value itself")
    check_reading(schema)
    if schema.header:
        check_names("HEADER in trainer/features.py", schema.header, schema)


def check_encoding(name: str) -> None:
    try:
        "".encode(name)
    except (LookupError, ValueError):
        remedy = 'write "utf-8", "utf-16", "latin-1" or "cp1252", for example'
        expected = "an encoding of text that Python knows"
        raise invalid(f"ENCODING is {shown(name)}", expected, remedy) from None


def check_reading(schema: Schema) -> None:
    """Raise `UserError` for a decimal mark, a unit or an order of dates that no cell can have."""
    check_choice("DECIMAL", schema.decimal, (".", ","))
    numbers = (*schema.raw.of_kind("numeric"), schema.label)
    for where, names, allowed, kind in (
        ("UNITS", schema.units, numbers, "numeric"),
        # An ignored one may be what the rows are split by.
        ("DAY_FIRST", schema.day_first, schema.raw.of_kind("datetime", "ignore"), "datetime"),
    ):
        for name in names:
            if name not in allowed:
                what = f"{where} names {shown(name)}, which is no {kind} column"
                raise invalid(what, f"columns of the kind {kind}", nearest(name, allowed))
    for name, unit in schema.units.items():
        if not isinstance(unit, str) or not unit or unit != unit.strip():
            what = f"UNITS has {shown(unit)} for {shown(name)}"
            expected = "the text behind the numbers, without blanks around it"
            raise invalid(what, expected, 'write {"weight": "kg"}, for example')


def check_names(where: str, names: Sequence[str], schema: Schema, remedy: str = "") -> None:
    """Raise `UserError` unless `names` are the label and every column, once each and in any order."""
    declared = (schema.label, *schema.raw.columns)
    for name, count in Counter(names).items():
        if count > 1:
            what = f"{where} has the column {shown(name)} {count} times"
            remedy = "rename one of them there, and in trainer/features.py"
            raise UserError(what, "each column name once", remedy)
    for name in declared:
        if name not in names:
            what = f"{where} has no column {shown(name)}, which trainer/features.py names"
            listed = f"{', '.join(map(shown, names[:12]))}{' …' if len(names) > 12 else ''}"
            raise UserError(what, f"the columns {listed}", remedy or nearest(name, names))
    for name in names:
        if name not in declared:
            remedy = "rename the derived column" if name in schema.derived else remedy
            named = "only derives" if name in schema.derived else "does not name"
            what = f"{where} has a column {shown(name)} that trainer/features.py {named}"
            fix = remedy or f'add {shown(name)}: "ignore", or its kind, to COLUMNS'
            raise UserError(what, "every column of the table in COLUMNS", fix)


def named(names: Sequence[str], schema: Schema) -> tuple[str, ...]:
    """Return the names of a header; a column without one is named by its position, as pandas does."""
    found = [*names]
    for position, name in enumerate(names):
        if not name.strip() and name not in (schema.label, *schema.columns):
            found[position] = f"Unnamed: {position}"
            while found[position] in names:
                found[position] += ".1"
    return tuple(found)


def check_sizes(schema: Schema) -> None:
    for name, (allowed, expected) in SIZES.items():
        value = getattr(schema, name)
        if value not in allowed:
            raise invalid(f"{name.upper()} is {value}", expected, "correct the number")
