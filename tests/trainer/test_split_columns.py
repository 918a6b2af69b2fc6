"""Splits by class and by a column: no row is on the wrong side, whatever the order of the file, its format and the threads."""

import argparse
import datetime
import json
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from declared_tables import declare, split_of, write
from trainer import features, prepare
from trainer.data.schema import read_schema
from trainer.data.statistics import read_statistics
from trainer.evaluation.held_out import held_out_rows
from trainer.preprocessing import engine
from trainer.run.console import Console
from trainer.run.errors import UserError

ROWS = 1_200
RANDOM = np.random.default_rng(11)
DAYS = RANDOM.integers(0, 400, ROWS)
USERS = RANDOM.integers(0, 90, ROWS)
LABELS = ["yes" if number % 3 else "no" for number in range(ROWS)]
FIRST_DAY = datetime.date(2023, 1, 1)


def dates(pattern: str) -> list[str]:
    return [(FIRST_DAY + datetime.timedelta(days=int(day))).strftime(pattern) for day in DAYS]


TIMES: dict[str, tuple[str, Sequence[Any], str]] = {
    "a column of dates": ("datetime", dates("%Y-%m-%d"), "2023-12-27"),
    "an ignored column of times": ("ignore", dates("%b %d, %Y 3:05 PM"), "2023-12-27 15:05:00"),
    "days before months": ("datetime", dates("%d/%m/%Y"), "2023-12-27"),
    "ignored days before months": ("ignore", dates("%d.%m.%y"), "2023-12-27"),
    "digits": ("ignore", dates("%Y%m%d"), "2023-12-27"),
    "numbers": ("numeric", DAYS.tolist(), "360"),
    "ignored numbers": ("ignore", [1_700_000_000 + 60 * int(day) for day in DAYS], "1700021600"),
    "categories": ("categorical", dates("%Y-%m"), "2024-01-01"),
}


def recorded(table: Path) -> dict[str, Any]:
    text = (table.parent / "output" / "statistics.json").read_text(encoding="utf-8")
    return dict(json.loads(text)["split"])


def in_any_order(
    folder: Path, columns: dict[str, Any], patch: pytest.MonkeyPatch, *options: str
) -> dict[str, set[int]]:
    """Return the numbers of the rows of each split, after checking that they do not depend on anything else."""
    database, found = engine.database, []
    for threads, as_csv in ((1, True), (4, False), (3, True)):
        order = np.random.default_rng(threads).permutation(len(columns["number"]))

        def threaded(*arguments: Any, count: int = threads) -> Any:
            connection = database(*arguments)
            connection.execute(f"SET threads = {count}")
            return connection

        patch.setattr(engine, "database", threaded)
        shuffled = {name: [cells[at] for at in order] for name, cells in columns.items()}
        table = write(folder / "table", shuffled, as_csv)
        found.append(split_of(table, *options))
    assert found[0] == found[1] == found[2]
    return {split: {int(row[0]) for row in rows} for split, rows in found[0].items()}


@pytest.mark.parametrize("case", TIMES)
def test_no_row_to_evaluate_on_is_earlier_than_a_training_row(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kind, cells, shown = TIMES[case]
    day_first = ["when"] if "before" in case else []
    declare(monkeypatch, {"number": "numeric", "when": kind}, DAY_FIRST=day_first)
    columns = {"number": range(ROWS), "when": cells, "y": LABELS}
    splits = in_any_order(tmp_path, columns, monkeypatch, "--split", "time:when")
    months = DAYS if case != "categories" else [cells[at] for at in range(ROWS)]
    last, first = (
        pick(months[at] for at in splits[name]) for pick, name in ((max, "train"), (min, "eval"))
    )
    assert last < first
    assert len(splits["train"]) + len(splits["eval"]) == ROWS
    assert 0.05 < len(splits["eval"]) / ROWS < 0.15
    record = recorded(tmp_path / "table")
    assert (
        record["rule"] == "time:when"
        and record["train rows to"] < record["eval rows from"] == shown
    )
    assert (
        f"split by time of when: eval rows from {record['eval rows from']}, train"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((95, 5), 5),  # all but the first date, although that is less than the share
        ((5, 95), 95),
        ((80, 5, 15), 15),
        ((80, 8, 3, 9), 9),
        ((85, 4, 4, 7), 11),
    ],
)
def test_rows_of_one_time_are_on_one_side(
    counts: tuple[int, ...], expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, {"number": "numeric", "year": "ignore"})
    years = np.repeat([2_000 + number for number in range(len(counts))], counts)
    table = write(tmp_path / "t.csv", {"number": range(100), "year": years, "y": LABELS[:100]})
    rows = split_of(table, "--split", "time:year")
    assert {row[0] for row in rows["eval"]} == {*range(100 - expected, 100)}


def test_rows_without_a_time_are_trained_on_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    declare(monkeypatch, {"number": "numeric", "when": "ignore"})
    when = [
        ["", "soon", "?"][at % 3] if at > 1_100 else day for at, day in enumerate(dates("%d %b %Y"))
    ]
    table = write(tmp_path / "t.csv", {"number": range(ROWS), "when": when, "y": LABELS})
    rows = split_of(table, "--split", "time:when")
    assert {*range(1_101, ROWS)} < {row[0] for row in rows["train"]}
    assert (
        "99 row(s) have no date or number to split by, and are trained on"
        in capsys.readouterr().err
    )


GROUPS = {
    "numbers": [f"{user}" if at % 2 else f" {user}.0" for at, user in enumerate(USERS)],
    "names": [f"user {user}" for user in USERS],
    "booleans": [["True", "false", "TRUE", "False"][user % 4] for user in USERS],
}


@pytest.mark.parametrize("kind", ["ignore", "categorical"])
@pytest.mark.parametrize("case", GROUPS)
def test_no_row_of_a_group_is_on_both_sides(
    case: str,
    kind: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    declare(monkeypatch, {"number": "numeric", "user": kind})
    columns = {"number": range(ROWS), "user": GROUPS[case], "y": LABELS}
    splits = in_any_order(tmp_path, columns, monkeypatch, "--split", "group:user")
    sides = defaultdict(set)
    for split, numbers in splits.items():
        for number in numbers:
            sides[USERS[number] % 2 == 0 if case == "booleans" else USERS[number]].add(split)
    assert {len(each) for each in sides.values()} == {1}
    groups = Counter(side for (side,) in sides.values())
    counts = [("train groups", groups["train"]), ("eval groups", groups["eval"])]
    assert [*recorded(tmp_path / "table").items()] == [("rule", "group:user"), *counts]
    line = f"split by group of user: train groups {groups['train']}, eval groups {groups['eval']}"
    assert line in capsys.readouterr().err


def test_rows_without_a_group_are_split_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    declare(monkeypatch, {"number": "numeric", "user": "ignore"}, MISSING=[])
    users = [user if at % 2 else [None, float("nan")][at % 4 // 2] for at, user in enumerate(USERS)]
    for as_csv in (True, False):
        table = write(
            tmp_path / "table", {"number": range(ROWS), "user": users, "y": LABELS}, as_csv
        )
        rows = split_of(table, "--split", "group:user")
        without = sum(int(row[0]) % 2 == 0 for row in rows["eval"])
        assert 0.06 < without / (ROWS / 2) < 0.14
        warning = "600 row(s) have no group to split by, so that each is split by its own hash"
        assert warning in capsys.readouterr().err


def test_many_copies_of_a_row_stay_in_their_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    declare(monkeypatch, {"user": "categorical"})
    table = write(tmp_path / "t.csv", {"user": USERS % 12, "y": LABELS})
    rows = split_of(table, "--split", "group:user")
    # A value that no training row has is code 1.
    assert {row[0] for row in rows["eval"]} == {1} and 1 not in {row[0] for row in rows["train"]}
    assert "copies of a row are in both splits" not in capsys.readouterr().err


def test_a_column_names_the_split_of_each_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, {"number": "numeric", "part": "ignore"})
    words = ["train", "Validation ", " TEST", "training", "dev", "eval"]
    part = [words[at % 6] for at in range(ROWS)]
    columns = {"number": range(ROWS), "part": part, "y": RANDOM.choice(["yes", "no"], ROWS)}
    splits = in_any_order(tmp_path, columns, monkeypatch, "--split", "column:part")
    remainders = {split: {number % 6 for number in numbers} for split, numbers in splits.items()}
    assert remainders == {"train": {0, 3}, "eval": {1, 4, 5}, "test": {2}}
    assert recorded(tmp_path / "table")["rule"] == "column:part"


@pytest.mark.parametrize(
    "classes", [{"yes": 64, "no": 1_136}, {"a": 10, "b": 25, "c": 2, "d": 1, "e": 900}]
)
def test_each_class_gives_the_same_share(
    classes: dict[str, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    declare(monkeypatch, {"number": "numeric"}, TASK="binary" if "yes" in classes else "multiclass")
    y = [name for name, count in classes.items() for _ in range(count)]
    columns = {"number": range(len(y)), "y": y}
    splits = in_any_order(tmp_path, columns, monkeypatch, "--split", "stratified")
    found = Counter(y[number] for number in splits["eval"])
    few = {"c": 1, "d": 0}  # one of two is evaluated on, and the only one is trained on
    assert {name: found[name] for name in classes} == {
        name: few.get(name, round(count / 10)) for name, count in classes.items()
    }
    assert len(splits["train"]) + len(splits["eval"]) == len(y)
    assert "split stratified: eval has the same share of each class" in capsys.readouterr().err


def test_copies_of_a_row_are_on_one_side_of_a_stratified_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, {"number": "numeric"})
    numbers = np.repeat(range(ROWS // 3), 3)
    table = write(tmp_path / "t.csv", {"number": numbers, "y": np.where(numbers % 4, "no", "yes")})
    rows = split_of(table, "--split", "stratified", "--eval-share", "0.205")
    assert not set(rows["train"]) & set(rows["eval"])
    assert abs(len(rows["eval"]) - 0.205 * ROWS) <= 2 * 2


SPLITS = ("random", "stratified", "time:when", "group:user", "column:part")
COLUMNS = {
    "number": range(ROWS),
    "when": dates("%Y-%m-%d"),
    "user": [str(user) if user % 9 else "" for user in USERS],
    "part": [("train", "train", "train", "eval", "test")[at % 5] for at in range(ROWS)],
    "y": LABELS,
}


@pytest.mark.parametrize("split", SPLITS)
def test_the_rows_to_evaluate_are_those_that_were_not_trained_on(
    split: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(
        monkeypatch, {"number": "numeric", "when": "ignore", "user": "ignore", "part": "ignore"}
    )
    table = write(tmp_path / "t.csv", COLUMNS)
    prepared = split_of(table, "--split", split)
    arguments = ["--train", str(table), "--output", str(tmp_path / "output"), "--split", split]
    request = prepare.request_of(prepare.parser().parse_args(arguments))
    schema = read_schema(features)
    statistics = read_statistics(tmp_path / "output", schema)
    for name in [*prepared][1:]:
        rows = held_out_rows(request, schema, statistics.label, Console(quiet=True), name)
        assert rows.column("number").to_pylist() == [row[0] for row in prepared[name]]
    assert prepare.stale_reasons(arguments) == []
    assert [*map(bool, prepare.stale_reasons(arguments[:-2]))] == [True] * (split != "random")
    assert statistics.split["rule"] == split


REFUSED = {
    "tiem:when": "is 'tiem:when'; expected one of random, stratified, time:COLUMN, group:COLUMN, column:COLUMN; did you mean 'time:COLUMN'?",
    "Stratified": "did you mean 'stratified'?",
    "time": "is 'time'; expected one of random",
    "random:when": "is 'random:when'; expected one of random",
    "": "is ''; expected one of random",
    "time:wen": "is 'time:wen'; expected one of the COLUMNS number, when, user, part; did you mean 'when'?",
    "group:": "is 'group:'; expected one of the COLUMNS number",
    "group:y": "is 'group:y'; expected one of the COLUMNS number, when, user, part; correct the name",
    "time:part": "which gives no eval rows; expected dates or numbers, at least two different",
    "time:one": "which gives no eval rows; expected dates or numbers, at least two different",
    "group:one": "which gives no train rows; expected at least two groups",
    "group:none": "which gives no eval rows; expected at least two groups",
    "column:one": "is 'column:one', with '2024-01-01' in 1,200 row(s); expected only the words train,",
    "column:two": "is 'column:two', with 'tran' in 1 row(s); expected only",
    "column:three": "which gives no eval rows; expected only the words train,",
}


@pytest.mark.parametrize("split", REFUSED)
def test_a_split_that_cannot_be_is_refused(
    split: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = {
        "one": ["2024-01-01"] * ROWS,
        "none": [""] * ROWS,
        "two": ["tran", *["train", "eval"] * (ROWS // 2 - 1), "train"],
        "three": ["train", "test"] * (ROWS // 2),
    }
    used = {name: more[name] for name in more if split.endswith(f":{name}")}
    names = [*[*COLUMNS][:-1], *used]
    declare(monkeypatch, dict.fromkeys(names, "ignore") | {"number": "numeric"})
    table = write(tmp_path / "t.csv", {**COLUMNS, **used})
    with pytest.raises(
        UserError, match=f"split under .data. in job.toml .*{re.escape(REFUSED[split])}"
    ):
        split_of(table, "--split", split)
    assert not (tmp_path / "output").exists()


def test_what_the_columns_do_not_allow_is_found_without_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, {"number": "numeric"})
    arguments = ["--train", str(tmp_path / "t.csv"), "--output", str(tmp_path / "output")]
    with pytest.raises(UserError, match="is 'time:numbr'; .* did you mean 'number'"):
        prepare.stale_reasons([*arguments, "--split", "time:numbr"])
    declare(monkeypatch, {"number": "numeric"}, TASK="regression")
    with pytest.raises(
        UserError, match=r"the label is a number; expected classes, .*write split = \"random\""
    ):
        prepare.stale_reasons([*arguments, "--split", "stratified"])


def test_test_rows_of_a_column_and_a_test_table_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(
        monkeypatch, {"number": "numeric", "when": "ignore", "user": "ignore", "part": "ignore"}
    )
    table = write(tmp_path / "t.csv", COLUMNS)
    with pytest.raises(UserError, match="with test rows, beside a test table"):
        split_of(table, "--split", "column:part", "--test", str(table))
    rows = split_of(table, "--split", "group:user", "--test", str(table))
    assert len(rows["test"]) == ROWS and len(rows["train"]) + len(rows["eval"]) == ROWS


@pytest.mark.parametrize("rule", ["random", "stratified", "group:user"])
def test_each_row_is_in_the_test_split_of_one_fold(
    rule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, {"number": "numeric", "user": "ignore"})
    columns = {"number": range(ROWS), "user": USERS.tolist(), "y": LABELS}
    folds = [
        in_any_order(tmp_path, columns, monkeypatch, "--split", rule, "--fold", f"{number}/3")
        for number in (1, 2, 3)
    ]
    tested = [fold["test"] for fold in folds]
    assert set.union(*tested) == set(range(ROWS)) and sum(map(len, tested)) == ROWS
    for fold in folds:
        assert sum(map(len, fold.values())) == ROWS
        assert 0.2 < len(fold["test"]) / ROWS < 0.47
        assert 0.05 < len(fold["eval"]) / (ROWS - len(fold["test"])) < 0.16
        if rule.startswith("group"):
            users = [{USERS[row] for row in rows} for rows in fold.values()]
            assert sum(map(len, users)) == len(set.union(*users))


def test_the_test_table_has_no_part_in_a_fold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, {"number": "numeric"})
    columns = {"number": range(ROWS), "y": LABELS}
    test = write(tmp_path / "test", {"number": range(-9, 0), "y": LABELS[:9]}, True)
    splits = split_of(
        write(tmp_path / "table", columns, True), "--test", str(test), "--fold", "1/2"
    )
    assert min(int(row[0]) for row in splits["test"]) >= 0


@pytest.mark.parametrize("rule", ["time:number", "column:number"])
def test_rows_that_a_column_splits_are_not_divided_into_folds(
    rule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, {"number": "numeric"})
    table = write(tmp_path / "table", {"number": range(ROWS), "y": LABELS}, True)
    with pytest.raises(UserError, match="by which rows are divided into folds"):
        split_of(table, "--split", rule, "--fold", "1/2")


@pytest.mark.parametrize("text", ["0/5", "6/5", "1/1", "1", "a/b", "1/5/2", "-1/5"])
def test_a_fold_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="no fold such as 2/5"):
        prepare.fold(text)
