"""The table as the trainer sees it: `features.py` read, checked and typed."""

import difflib
from dataclasses import dataclass
from types import ModuleType

from trainer.run.errors import UserError, shown

VOCABULARY_KINDS = ("categorical",)
KINDS = ("numeric", *VOCABULARY_KINDS, "hashed", "ignore")
TASKS = ("binary", "multiclass", "regression")
MAXIMUM_BOUNDARIES = 256


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

    def of_kind(self, *kinds: str) -> tuple[str, ...]:
        return tuple(name for name, kind in self.columns.items() if kind in kinds)

    @property
    def numeric(self) -> tuple[str, ...]:
        return self.of_kind("numeric")

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
    def used(self) -> tuple[str, ...]:
        """Names of all columns that training and serving read."""
        return self.numeric + self.coded


def read_schema(features: ModuleType) -> Schema:
    """Return the schema that the module `features` declares, or raise `UserError`."""
    schema = Schema(
        label=features.LABEL,
        task=features.TASK,
        positive=features.POSITIVE,
        label_sql=features.LABEL_SQL,
        columns=dict(features.COLUMNS),
        missing=tuple(features.MISSING),
        delimiter=features.DELIMITER,
        comment=features.COMMENT,
        header=tuple(features.HEADER),
        vocabulary_limit=features.VOCABULARY_LIMIT,
        hash_buckets=features.HASH_BUCKETS,
        boundaries=features.BOUNDARIES,
    )
    check(schema)
    return schema


def check(schema: Schema) -> None:
    check_choice("TASK", schema.task, TASKS)
    for name, kind in schema.columns.items():
        check_choice(f"the kind of column {shown(name)}", kind, KINDS)
    check_columns(schema)
    check_sizes(schema)


def check_choice(where: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise `UserError` unless `value` is one of `choices`; offer the nearest spelling."""
    if value in choices:
        return
    near = difflib.get_close_matches(str(value), choices, n=1) or choices[:1]
    raise UserError(
        f"trainer/features.py: {where} is {shown(value)}",
        f"one of {', '.join(choices)}",
        f"write {near[0]!r}, if that is what you mean",
    )


def check_columns(schema: Schema) -> None:
    if schema.label in schema.columns:
        raise UserError(
            f"trainer/features.py: COLUMNS holds the label {shown(schema.label)}",
            "the label in LABEL alone",
            "take it out of COLUMNS",
        )
    if not schema.used:
        raise UserError(
            "trainer/features.py: every column is ignored",
            "at least one numeric, categorical or hashed column",
            "change the kind of a column that helps to predict the label",
        )
    if "self" in schema.used:
        raise UserError(
            "trainer/features.py: a column is called 'self'",
            "a name that a TensorFlow serving signature can take",
            "rename the column in the table, or give it the kind 'ignore'",
        )


def check_sizes(schema: Schema) -> None:
    buckets = schema.hash_buckets
    if buckets < 2 or buckets & (buckets - 1):
        raise UserError(
            f"trainer/features.py: HASH_BUCKETS is {buckets}",
            "a power of two of at least 2, so that SQL and TensorFlow agree on the bucket",
            "write 4_096, for example",
        )
    if not 2 <= schema.boundaries <= MAXIMUM_BOUNDARIES:
        raise UserError(
            f"trainer/features.py: BOUNDARIES is {schema.boundaries}",
            f"2 to {MAXIMUM_BOUNDARIES} quantile boundaries per numeric column",
            "write 24, for example",
        )
    if schema.vocabulary_limit < 1:
        raise UserError(
            f"trainer/features.py: VOCABULARY_LIMIT is {schema.vocabulary_limit}",
            "at least 1 value per categorical column",
            "write 10_000, for example",
        )
