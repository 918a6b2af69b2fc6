"""What makes results meaningless is reported: a column that gives the label away, and splits that differ."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow
import pyarrow.parquet
import pytest
from declared_tables import declare, prepared
from trainer import prepare

Array = npt.NDArray[np.float64]
ROWS = 2_000
RANDOM = np.random.default_rng(7)
POSITIVE = RANDOM.random(ROWS) < 0.3
NUMBER = np.exp(RANDOM.normal(size=ROWS) * 2)
X = RANDOM.normal(size=ROWS) + POSITIVE  # an honest column
Z = np.round(RANDOM.gamma(2.0, 30.0, ROWS), 1)
SEX = RANDOM.choice(["Male", "Female", "?"], ROWS, p=[0.6, 0.38, 0.02])
ZEROS = np.where(RANDOM.random(ROWS) < 0.9, 0.0, Z)
NAMES = np.array([f"name {number}" for number in RANDOM.integers(0, 900, ROWS)])
COLUMNS = {"x": X, "z": Z, "sex": SEX, "zeros": ZEROS, "name": NAMES}
KINDS = dict(
    zip(COLUMNS, ("numeric", "numeric", "categorical", "numeric", "categorical"), strict=True)
)
LABELS = np.where(POSITIVE, "yes", "no")
FLIPPED = np.where(RANDOM.random(ROWS) < 0.03, ~POSITIVE, POSITIVE)


def table(path: Path, **columns: object) -> Path:
    arrays = {name: pyarrow.array(values) for name, values in columns.items()}
    pyarrow.parquet.write_table(pyarrow.table(arrays), path)
    return path


def findings(folder: Path, train: Path, *options: str) -> list[str]:
    """Prepare; return the findings, which a second preparation with --reuse repeats."""
    prepared(train, *options)
    record = json.loads((folder / ".output.source.json").read_text(encoding="utf-8"))
    return [*record["findings"]]


LEAKS = {
    "a copy": POSITIVE.astype(float),
    "its opposite": np.where(POSITIVE, -1.0, 3.5),
    "a code": np.where(POSITIVE, RANDOM.integers(10, 15, ROWS), RANDOM.integers(20, 25, ROWS)),
    "text": np.where(POSITIVE, "approved", "declined"),
    "text with gaps": np.where(POSITIVE, NAMES, "?"),
    "3 % of it flipped": np.where(FLIPPED, "a", "b"),
    "noise around it": POSITIVE + RANDOM.normal(size=ROWS) * 0.1,
    "a number above a limit": np.where(POSITIVE, 1_000 + Z, 999 - Z),
    "present or missing": np.where(POSITIVE, Z, np.nan),
}


@pytest.mark.parametrize("leak", LEAKS)
def test_a_column_that_gives_the_class_away_is_reported(
    leak: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = "categorical" if LEAKS[leak].dtype.kind == "U" else "numeric"
    declare(monkeypatch, {**KINDS, "leak": kind})
    [found] = findings(tmp_path, table(tmp_path / "t", **COLUMNS, leak=LEAKS[leak], y=LABELS))
    assert found.startswith("'leak' alone gives the class of ")
    statistics = json.loads((tmp_path / "output" / "statistics.json").read_text(encoding="utf-8"))
    assert statistics["revealing"] == [found]
    assert found.endswith('write "leak": "ignore" in trainer/features.py')


NUMBER_LEAKS = {
    "a copy": NUMBER,
    "another unit": NUMBER * -1.8 + 32,
    "its logarithm": np.log10(NUMBER),
    "rounded": np.round(NUMBER, 2),
    "1 % of noise": NUMBER * (1 + 0.01 * RANDOM.normal(size=ROWS)),
}


@pytest.mark.parametrize("leak", NUMBER_LEAKS)
def test_a_column_that_gives_a_number_away_is_reported(
    leak: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, {**KINDS, "leak": "numeric"}, TASK="regression")
    [found] = findings(
        tmp_path, table(tmp_path / "t", **COLUMNS, leak=NUMBER_LEAKS[leak], y=NUMBER)
    )
    assert found.startswith("'leak' alone explains 99.") or "explains 100.0%" in found


def test_honest_columns_and_splits_have_no_findings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kinds = {**KINDS, "strong": "numeric", "near": "numeric"}
    declare(monkeypatch, kinds)
    # Two measures that are both close to the label, as in flowers.
    strong, near = (POSITIVE * 4 + RANDOM.normal(size=ROWS) for _ in range(2))
    columns = {**COLUMNS, "strong": strong, "near": near, "y": LABELS}
    half = {name: values[ROWS // 2 :] for name, values in columns.items()}
    train = {name: values[: ROWS // 2] for name, values in columns.items()}
    test = table(tmp_path / "test", **half)
    assert findings(tmp_path, table(tmp_path / "t", **train), "--test", str(test)) == []
    assert capsys.readouterr().err == ""


def lower(texts: Any) -> object:
    return np.char.lower(texts)


CHANGES: dict[str, tuple[str, Callable[[Array], object], str]] = {
    "grams for kilograms": (
        "z",
        lambda z: z * 1000,
        "; values other than 0 are about 1,100 times as large); correct the test",
    ),
    "percent for shares": ("z", lambda z: z / 100, "about 0.011 times as large"),
    "a unit of mostly zeros": ("zeros", lambda z: z * 1000, "times as large"),
    "pounds for kilograms": ("x", lambda x: (x + 9) * 2.2, "has the median "),
    "another range": ("z", lambda z: z + 1_000, "has the median 1,0"),
    "one number": ("z", lambda z: z * 0 + 7, "has one value (training: several)"),
    "no zeros left": ("zeros", lambda z: z * 0, "has one value (training: several)"),
    "one text": ("sex", lambda sex: np.full_like(sex, "Male"), "has one value"),
    "empty": (
        "sex",
        lambda sex: np.full_like(sex, "?"),
        "is missing in 100% of the rows (training: 2%)",
    ),
    "empty numbers": ("x", lambda x: np.full_like(x, np.nan), "is missing in 100% of the rows"),
    "half empty": ("x", lambda x: np.where(np.arange(len(x)) % 2, x, np.nan), "is missing in 50%"),
    "codes for texts": ("sex", lambda sex: np.where(sex == "Male", "M", "F"), "has values that no"),
    "other case": (
        "sex",
        lower,
        "has values that no training row has in 98% of the rows",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_test_table_that_differs_is_reported(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, KINDS)
    name, changed, message = CHANGES[change]
    columns = {**COLUMNS, "y": LABELS}
    train = {each: values[: ROWS // 2] for each, values in columns.items()}
    other = {each: values[ROWS // 2 :] for each, values in columns.items()}
    test = table(tmp_path / "test", **{**other, name: changed(other[name])})
    [found] = findings(tmp_path, table(tmp_path / "t", **train), "--test", str(test))
    assert found.startswith(f"in the test split, '{name}' ") and message in found


@pytest.mark.parametrize("rows", [slice(None), slice(0, 300), slice(0, 1_000, 2)])
def test_test_rows_that_were_trained_on_are_reported(
    rows: slice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    declare(monkeypatch, KINDS)
    columns = {**COLUMNS, "y": LABELS}
    test = table(tmp_path / "test", **{name: values[rows] for name, values in columns.items()})
    train = table(tmp_path / "t", **columns)
    [found] = findings(tmp_path, train, "--test", str(test))
    assert "100% of the test rows are rows of the train table" in found
    capsys.readouterr()
    arguments = ["--train", str(train), "--test", str(test), "--output", str(tmp_path / "output")]
    assert prepare.main([*arguments, "--reuse"]) == 0
    assert f"warning: {found}" in capsys.readouterr().err


def test_rows_that_are_often_equal_are_no_training_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, {"a": "categorical", "b": "categorical"})
    columns = {name: RANDOM.choice([*"pqrst"], ROWS) for name in "ab"}
    halves = [
        {name: values[part] for name, values in columns.items()}
        for part in (slice(0, 999), slice(999, None))
    ]
    train, test = (
        table(tmp_path / name, **half, y=RANDOM.choice(["yes", "no"], len(half["a"])))
        for name, half in zip(("t", "test"), halves, strict=True)
    )
    assert not [each for each in findings(tmp_path, train, "--test", str(test)) if "test" in each]


def dated(path: Path, first: int, days: int) -> Path:
    """Write a table whose dates begin `first` days after 2020 and cover `days` days."""
    offsets = np.arange(ROWS) % days + first
    dates = [str(np.datetime64("2020-01-01") + offset) for offset in offsets]
    return table(path, day=dates, x=X, y=LABELS)


@pytest.mark.parametrize(("first", "share"), [(900, "100%"), (365, "45%"), (-200, "30%")])
def test_dates_outside_of_those_of_training_are_named(
    first: int, share: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, {"day": "datetime", "x": "numeric"})
    train, test = dated(tmp_path / "train", 0, 731), dated(tmp_path / "test", first, 731)
    (found,) = findings(tmp_path, train, "--test", str(test))
    assert "'day' is outside of the dates of training, 2020-01-01 to 2021-12-31, in " in found
    assert share in found


def test_dates_within_those_of_training_are_not_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, {"day": "datetime", "x": "numeric"})
    train, test = dated(tmp_path / "train", 0, 731), dated(tmp_path / "test", 5, 731)
    assert not findings(tmp_path, train, "--test", str(test))
