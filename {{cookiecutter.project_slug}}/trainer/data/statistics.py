"""What `prepare` computes from the training rows, and every later step relies on."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from trainer.data import files
from trainer.data.cells import date_of
from trainer.data.schema import Schema
from trainer.run.errors import UserError
from trainer.run.outputs import read_json

MISSING_CODE = 0
UNSEEN_CODE = 1
FIRST_VALUE_CODE = 2


@dataclass(frozen=True)
class Numeric:
    """A numeric column: a summary of its training values, and the boundaries of its encoding."""

    minimum: float
    maximum: float
    mean: float
    deviation: float
    missing: int
    boundaries: tuple[float, ...]
    shares: tuple[float, ...] = ()
    """Of a sample's values, by `bins`; empty if an earlier version prepared the data, as are the other defaults below."""

    def bins(self, numbers: Any) -> Any:
        """Return the bin of each number, int64 [rows]: 0 below the first boundary, `len(boundaries)` from the last one."""
        import numpy as np

        edges = np.array(self.boundaries, np.float32)
        return np.searchsorted(edges, np.asarray(numbers, np.float32), side="right")

    def outside(self, numbers: Any) -> Any:
        """Return which numbers of an array are less or more than all of the training rows, bool of its shape."""
        import numpy as np

        first, last = np.array([self.minimum, self.maximum], np.float32)
        return (numbers < first) | (numbers > last)

    @property
    def dates(self) -> str:
        """The first and the last date of the training rows, of a column of days since 1970-01-01."""
        return " to ".join(date_of(day)[:10] for day in (self.minimum, self.maximum))


@dataclass(frozen=True)
class Label:
    """The label of the training rows: class names and counts, or mean and deviation of a number; of weighted rows, all by weight."""

    classes: tuple[str, ...]
    counts: tuple[float, ...]
    mean: float
    deviation: float


@dataclass(frozen=True)
class Statistics:
    """Everything computed from the training rows alone, and the number of rows of each split."""

    rows: dict[str, int]
    rejected: int
    label: Label
    numeric: dict[str, Numeric]
    vocabularies: dict[str, tuple[str, ...]]
    hashed: dict[str, int]
    fingerprint: str
    split: dict[str, Any] = field(default_factory=lambda: {"rule": "random"})
    """How the train table was split; by a column also what is on which side."""
    counts: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Training rows of each coded column by code: missing, no value of the vocabulary, then its values."""
    revealing: tuple[str, ...] = ()
    """A sentence for each column that alone gives the label."""
    weight: dict[str, Any] | None = None
    """The `column` of the rows' weights, and their `mean` over the training rows, by which they are divided; None: all count alike."""

    def code_counts(self) -> tuple[int, ...]:
        """Return the number of codes of each column, in the order of `Schema.textual`."""
        known = [FIRST_VALUE_CODE + len(values) for values in self.vocabularies.values()]
        return tuple(known + [1 + buckets for buckets in self.hashed.values()])


def vocabulary_codes(values: Sequence[str]) -> dict[str, int]:
    return {value: FIRST_VALUE_CODE + position for position, value in enumerate(values)}


def write_statistics(statistics: Statistics, path: Path) -> None:
    document = {name: each for name, each in asdict(statistics).items() if each is not None}
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8")


def prepared_fingerprint(data_dir: Path) -> str | None:
    """Return the fingerprint of the prepared data in a folder, None if there is none."""
    fingerprint = (read_json(data_dir / files.STATISTICS) or {}).get("fingerprint")
    return fingerprint if isinstance(fingerprint, str) else None


def read_statistics(data_dir: Path, schema: Schema) -> Statistics:
    """Return the statistics in `data_dir`; raise `UserError` if there are none or for another schema."""
    path = data_dir / files.STATISTICS
    if not path.is_file():
        raise UserError(
            f"{data_dir} holds no {files.STATISTICS}",
            "a folder that `python -m trainer.prepare` has written",
            "run `nox -s prepare`, or name the folder with --data-dir",
        )
    try:
        statistics = parsed(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} cannot be read ({type(error).__name__}: {error})",
            "a file that `python -m trainer.prepare` of this version has written",
            "run `nox -s prepare` again",
        ) from error
    check_columns(statistics, schema, path)
    return statistics


def parsed(document: dict[str, Any]) -> Statistics:
    known = {name: each for name, each in document.items() if name in Statistics.__annotations__}
    values = with_tuples(known)
    numeric = {name: Numeric(**column) for name, column in values["numeric"].items()}
    return Statistics(**{**values, "label": Label(**values["label"]), "numeric": numeric})


def with_tuples(value: Any) -> Any:
    """Return a value of JSON with tuples in the place of lists."""
    if isinstance(value, dict):
        return {name: with_tuples(each) for name, each in value.items()}
    return tuple(map(with_tuples, value)) if isinstance(value, list) else value


def check_columns(statistics: Statistics, schema: Schema, path: Path) -> None:
    prepared = (*statistics.numeric, *statistics.vocabularies, *statistics.hashed)
    if prepared == schema.used:
        return
    differing = sorted(set(prepared) ^ set(schema.used)) or ["their order or kind"]
    raise UserError(
        f"{path} was prepared for other columns than trainer/features.py declares: {', '.join(differing)}",
        f"the columns {', '.join(schema.used)}",
        "run `nox -s prepare` again",
    )
