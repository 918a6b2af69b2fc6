"""What `evaluate` prints: in words, within 80 columns, without exponents."""

from pathlib import Path
from typing import Any

import pytest
from trainer.evaluate import extremes, important, report, worse
from trainer.evaluation.page import shown
from trainer.run.console import Console


def test_what_may_be_chance_is_not_said_to_matter() -> None:
    chance = {"mean": 0.01, "deviation": 0.01}
    assert important({"a": {"mean": 0.3, "deviation": 0.1}, "b": chance}) == "a matter most"
    assert (
        important({"b": chance, "c": {"mean": 0.0, "deviation": 0.0}})
        == "none matters beyond chance"
    )


def test_the_measures_fit_into_80_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measure = {"value": 0.0001234, "low": 0.0001234, "high": 0.0001234, "constant": 0.0001234}
    source = {"text": "eval split: it chose the weights of the run"}
    found: dict[str, Any] = {"metrics": dict.fromkeys(["calibration_error", "accuracy"], measure)}
    found |= {"importance": {}, "drift": {}}
    name = "a name of very many characters"
    found["worse_slices"] = {f"{name}: {number}": {} for number in range(4)}
    found["slices"] = {
        name: {f"{name} {n}": {"accuracy": n / 10_001, "rows": 99} for n in range(1, 4)}
    }
    document = {"rows": 12, "source": source, "revealing": [], **found}
    report(document, tmp_path, "", Console())
    lines = capsys.readouterr().err.splitlines()
    assert max(map(len, lines)) <= 80
    assert sum("'a name of" in line for line in lines) == 2


def test_the_extremes_of_slices_with_rows_enough_are_named() -> None:
    found = {" a": (0.9, 99), "b": (None, 99), "c": (0.5, 99), "d": (0.7, 99), "e": (1.0, 3)}
    slices = {name: {"auc": value, "rows": rows} for name, (value, rows) in found.items()}
    assert extremes(slices, "auc") == "auc 0.5 ('c') to 0.9 ('a')"
    assert extremes({"e": slices["e"]}, "auc").endswith("rows or more has a known auc")
    assert worse({}) == "no slice beyond chance"


@pytest.mark.parametrize(
    ("value", "text"),
    [(28708.09, "28,708"), (-1.5e6, "-1,500,000"), (9999.6, "10,000"), (0.12345, "0.1235"), (1e20, "1e+20"), (12, "12"), (None, "-")],
)  # fmt: skip
def test_large_measures_are_shown_without_an_exponent(value: float | None, text: str) -> None:
    assert shown(value) == text
