"""Splits mean something: which side a row is on, what the eval split holds, and what is reported of small ones."""

import datetime
import decimal
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from declared_tables import declare, split_of, write

ROWS = 3_000
RANDOM = np.random.default_rng(5)
COLORS = np.array(["red", "green", "blue"])
COUNTS = [None if number % 7 == 0 else number for number in range(ROWS)]


def labels(count: int = ROWS) -> list[str]:
    return ["no" if number % 3 else "yes" for number in range(count)]


DAY = datetime.datetime(2024, 1, 1)
NOON = DAY.replace(tzinfo=datetime.timezone.utc)
OTHERS = {
    "numbers": [number / 4 for number in range(ROWS)],
    "integers with gaps": [None if each is None else float(each) for each in COUNTS],
    "gaps": [float("nan") if number % 5 else 1.5 for number in range(ROWS)],
    "large": [number * 1e15 for number in range(ROWS)],
    "small": [number * 1e-7 for number in range(ROWS)],
    "booleans": [number % 2 == 0 for number in range(ROWS)],
    "days": [DAY.date() + datetime.timedelta(days=number) for number in range(ROWS)],
    "midnights": [DAY + datetime.timedelta(days=number) for number in range(ROWS)],
    "times": [DAY + datetime.timedelta(milliseconds=250 * number) for number in range(ROWS)],
    "zones": [NOON + datetime.timedelta(hours=number) for number in range(ROWS)],
    "fractions": [NOON + datetime.timedelta(milliseconds=50 * number) for number in range(ROWS)],
    "money": [decimal.Decimal(f"{number}.50") for number in range(ROWS)],
}


@pytest.mark.parametrize("kind", OTHERS)
def test_csv_and_parquet_are_split_alike(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, {"x": "numeric", "other": "ignore"})
    columns = {"x": list(range(ROWS)), "other": OTHERS[kind], "y": labels()}
    written = [
        split_of(write(tmp_path / name, columns, as_csv))
        for name, as_csv in (("t.csv", True), ("t.parquet", False))
    ]
    assert written[0] == written[1]
    # Another content of the column that is not used is another table.
    changed = {**columns, "other": list(map(str, reversed(range(ROWS))))}
    assert split_of(write(tmp_path / "t.csv", changed)) != written[0]


def test_a_column_that_is_used_or_moved_moves_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = {"z": COUNTS, "x": list(range(ROWS)), "a": ["b"] * ROWS, "y": labels()}
    found = set()
    for kinds in ("ignore", "ignore"), ("numeric", "ignore"), ("hashed", "categorical"):
        for names in (["z", "x", "a", "y"], ["y", "a", "x", "z"]):
            declare(monkeypatch, {"x": "numeric", "z": kinds[0], "a": kinds[1]})
            table = write(tmp_path / "t.csv", {name: columns[name] for name in names})
            found.add(frozenset(row[0] for row in split_of(table)["eval"]))
    assert len(found) == 1


COPIES = {
    "a few": [1] * 2_400 + [2] * 200 + [6] * 40,
    "the table twice": [2] * 1_000,
    "a class oversampled": [1] * 1_000 + [9] * 120,
}


@pytest.mark.parametrize("case", COPIES)
def test_few_copies_of_a_row_are_on_one_side(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, {"x": "numeric"})
    x = np.repeat(np.arange(len(COPIES[case])), COPIES[case])
    rows = split_of(write(tmp_path / "t.csv", {"x": x, "y": np.where(x % 3, "no", "yes")}))
    assert not set(rows["train"]) & set(rows["eval"])
    assert 0.07 < len(rows["eval"]) / len(x) < 0.13


COMBINATIONS = {
    "two columns": (RANDOM.choice(COLORS, ROWS), RANDOM.choice(COLORS, ROWS)),
    "one row in a third of the table": (np.where(np.arange(ROWS) % 3, COLORS[0], np.arange(ROWS)), COLORS[[0] * ROWS]),
    "hundreds": (RANDOM.integers(0, 20, ROWS), RANDOM.integers(0, 15, ROWS)),
}  # fmt: skip


@pytest.mark.parametrize("case", COMBINATIONS)
def test_copies_that_are_a_large_share_are_on_both_sides(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    declare(monkeypatch, {"a": "categorical", "b": "categorical"})
    a, b = COMBINATIONS[case]
    table = write(tmp_path / "t.csv", {"a": a, "b": b, "y": labels()})
    rows = split_of(table, "--test", str(table))
    found = (
        "rows are different, so copies of a row are in both splits; deduplicate = true in job.toml"
    )
    assert found in capsys.readouterr().err
    assert 0.08 < len(rows["eval"]) / ROWS < 0.12
    counts = Counter(rows["train"] + rows["eval"])
    common = [row for row, count in counts.items() if count > 100]
    assert common or case == "hundreds"
    assert all(rows["eval"].count(row) > 2 for row in common)
    assert rows == split_of(table, "--test", str(table))
    # The first rows of a split are a sample of it, which other code relies on.
    for split in rows.values():
        assert len(set(split[:100])) > 0.5 * min(100, len(set(split)))


@pytest.mark.parametrize("seed", range(4))
def test_each_class_of_two_rows_is_evaluated_and_each_is_trained_on(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    declare(monkeypatch, {"x": "numeric"}, TASK="multiclass")
    rare = ["one", "two", "two", *["three"] * 3, *["four"] * 4]
    classes = [*rare, *["many"] * (ROWS - len(rare))]
    x = np.random.default_rng(seed).permutation(ROWS)
    split_of(write(tmp_path / "t.csv", {"x": x, "y": classes}))
    statistics = json.loads((tmp_path / "output" / "statistics.json").read_text(encoding="utf-8"))
    trained = dict(zip(statistics["label"]["classes"], statistics["label"]["counts"], strict=True))
    assert sum(statistics["rows"].values()) == ROWS  # no row and no class is left out
    assert trained["one"] == trained["two"] == 1 and trained["three"] < 3 and trained["four"] < 4
    found = capsys.readouterr().err
    assert "the eval split has few rows of some classes: 0 of 'one', 1 of" in found


def test_three_positive_rows_of_thousands_give_an_auc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, {"x": "numeric"})
    rows = split_of(
        write(tmp_path / "t.csv", {"x": range(ROWS), "y": ["yes"] * 3 + ["no"] * (ROWS - 3)})
    )
    assert [sum(label for _, label in rows[split]) for split in ("train", "eval")] == [2, 1]


@pytest.mark.parametrize(("task", "label"), [("regression", "3.5"), ("binary", "yes")])
def test_a_split_that_is_too_small_is_reported(
    task: str,
    label: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    declare(monkeypatch, {"x": "numeric"}, TASK=task)
    y = [label if number % 3 else "4" for number in range(200)]
    table = write(tmp_path / "t.csv", {"x": range(200), "y": y})
    rows = split_of(table)
    message = f"the eval split has {len(rows['eval'])} row(s), so its metrics may be chance; give it more rows, as by a larger eval_share in job.toml"
    assert message in capsys.readouterr().err
    split_of(table, "--eval-share", "0.4")
    assert "may be chance" not in capsys.readouterr().err
    few = write(tmp_path / "few.csv", {"x": range(9), "y": y[:9]})
    split_of(table, "--eval-share", "0.4", "--test", str(few))
    assert "the test split has 9 row(s), so its" in capsys.readouterr().err
    one = write(tmp_path / "one.csv", {"x": range(9), "y": [label] * 9})
    split_of(table, "--eval-share", "0.4", "--test", str(one))
    of_class = " and few rows of some classes: 0 of '4'" * (task == "binary")
    assert f"the test split has 9 row(s){of_class}, so its" in capsys.readouterr().err
