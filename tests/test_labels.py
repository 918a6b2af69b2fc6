"""The label and the task, inferred from the columns, and the labels that are refused."""

from dataclasses import replace
from pathlib import Path

import pytest

from cmle_extension.dataset import checked_features, inferred_features, inferred_label
from cmle_extension.labels import Task, described_label, likely_label, task_of
from cmle_extension.quoting import parsed
from tests.columns import DAYS, MANY, column, repeated
from tests.refused import refused


@pytest.mark.parametrize(
    ("names", "label"),
    [
        (["a", "b", "c"], "c"),
        (["Target", "a"], "Target"),
        (["species", "class", "a"], "class"),
        (["Y", "a", "b"], "Y"),
        (["x", "y", "z", "price"], "price"),
        (["LABEL", "label", "a"], "LABEL"),
        (["class", "age", "survived"], "survived"),
        (["income", "age", "spend"], "spend"),
    ],
)
def test_the_label_has_a_well_known_name_or_comes_last(names: list[str], label: str) -> None:
    assert likely_label(names) == label


@pytest.mark.parametrize(
    ("cells", "task"),
    [
        (("no", "yes", "yes"), Task("binary", "yes")),
        (("0", "1", "1"), Task("binary", "1")),
        (("0.0", "1.0", ""), Task("binary", "1.0")),
        (("-1", "1", "1"), Task("binary", "1")),
        (("False", "True", "True"), Task("binary", "True")),
        (("<=50K", ">50K", ">50K"), Task("binary", ">50K")),
        (("negative", "positive", "positive"), Task("binary", "positive")),
        (("no", "maybe", "maybe"), Task("binary", "maybe")),
        (("yes", "unclear", "yes"), Task("binary", "yes")),
        (("good", "bad", "good"), Task("binary", "bad")),
        (("1", "2", "1"), Task("binary", "2")),
        (("b", "a"), Task("binary", "b")),
        (("a", "b", "c", "a", "b", "c"), Task("multiclass")),
        (("0", "1", "2", "0", "1", "2"), Task("multiclass")),
        (("1.0", "2.0", "3.0") * 2, Task("multiclass")),
        (tuple(str(i % 20) for i in range(60)), Task("multiclass")),
        (tuple(str(i % 21) for i in range(63)), Task("regression")),
        (("-1", "1", *("0",) * 60), Task("multiclass")),
        (("1", "2", "3"), Task("regression")),
        (("1990", "1991", "1992") * 3, Task("regression")),
        (("0.5", "1", "2") * 3, Task("regression")),
        (repeated(1000, 3000), Task("multiclass")),
        (("01", "02", "03") * 3, Task("multiclass")),
    ],
)
def test_the_task_follows_from_the_label(cells: tuple[str, ...], task: Task) -> None:
    assert task_of(column(*cells)) == task


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (("a", "a", "?"), ("has 1 different value in the 3 rows read", "at least two", "shuffle")),
        (("", ""), ("has 0 different values in the 2 rows read",)),
        (repeated(1001, 3003), ("has 1001 different values in 3003 rows", "at most 1000 classes")),
        (("ann", "bob", "cid"), ("has 3 different values in 3 rows", "such as 'ann'")),
        (
            (*map(str, range(500)), *(f"a{number}" for number in range(99))),
            ("not all of them numbers, such as 'a0'", "clean this one"),
        ),
        (("\x1b[2J", "b", "c"), ("'\\x1b[2J'",)),
    ],
)
def test_a_label_that_cannot_be_predicted_is_refused(
    cells: tuple[str, ...], words: tuple[str, ...]
) -> None:
    message = refused(lambda: task_of(column(*cells, name="y")), "label: the column 'y' has")
    assert all(part in message for part in words)


@pytest.mark.parametrize(
    ("cells", "task", "sql"),
    [
        (("Yes", "yes", "YES", "No", "no"), Task("binary", "yes"), "LOWER(label)"),
        (("1", "0", "1.0", "0.0"), Task("binary", "1"), r"REGEXP_REPLACE(label, r'^(-?[0-9]+)\.0*$', r'\1')"),
        (("in_use", "in use", "idle"), Task("binary", "idle"), r"REGEXP_REPLACE(label, r'(\S)[\s_-]+', r'\1 ')"),
        (("ok.", "ok", "bad"), Task("binary", "bad"), "RTRIM(label, '.!')"),
        (("yes", "no", "-"), Task("binary", "yes"), "NULLIF(label, '-')"),
        (("yes", "no", "None"), Task("binary", "yes"), "NULLIF(label, 'None')"),
        (("good", "bad", "n/a"), Task("binary", "good"), "NULLIF(label, 'n/a')"),
        (("good", "bad", "none"), Task("multiclass"), ""),
        (("+", "-", "0"), Task("multiclass"), ""),
        (("Y", "yes", "N", "no"), Task("binary", "yes"), "CASE WHEN label IN ('Y', 'yes') THEN 'yes' WHEN label IN ('N', 'no') THEN 'no' END"),
        (("Y", "yes", "N", "n/a"), Task("binary", "yes"), "CASE WHEN NULLIF(label, 'n/a') IN ('Y', 'yes') THEN 'yes' WHEN NULLIF(label, 'n/a') IN ('N') THEN 'no' END"),
        (("ja", "nein"), Task("binary", "ja"), ""),
        (("a", "b", "c"), Task("multiclass"), ""),
        (("1", "0", "n/a"), Task("binary", "1"), ""),
        (("1.5", "2.50", "3", "3.0", "7.25"), Task("regression"), ""),
    ],
)  # fmt: skip
def test_variants_of_a_class_are_folded(cells: tuple[str, ...], task: Task, sql: str) -> None:
    found = described_label(column(*cells * 20))
    assert (found.task, found.sql) == (task, sql)
    assert any("are read as" in note for note in found.notes) == bool(sql)


def test_the_variants_that_are_folded_are_named_first() -> None:
    others = [f"{number} a" for number in range(20)]
    notes = described_label(column(*[*others, "b_c", "b c"] * 20)).notes
    assert any(note.startswith("'b_c', '0 a'") for note in notes)


@pytest.mark.parametrize(
    ("cells", "notes"),
    [
        (("no", "yes") * 20, ["binary, the probability of 'yes' (and not 'no')"]),
        (("1", "2", "3") * 20, ['multiclass, 3 classes; to predict a number, write TASK = "regression"']),
        (("a", "b", "c") * 20, ["multiclass, 3 classes"]),
        (("1.5", "2.5", "3.5") * 20, ["from 1.5 to 3.5; to predict classes, write TASK ="]),
        (MANY, ["regression, numbers from 0.5 to 94.5"]),
        (MANY * 2, ["regression, numbers from 0.5 to 94.5"]),
        (tuple(map(str, range(1, 41))) * 2, ["from 1 to 40; to predict classes, write TASK ="]),
        (("1.5", "7500000", "0.000025") * 2 + MANY, ["regression, numbers from 2.5e-05 to 7,500,000"]),
        (tuple(f"{n}" for n in range(1, 20) for _ in range(2)) + ("0",) * 400, ["regression, numbers from 0 to 19; to predict classes, write TASK ="]),
        (tuple(map(str, range(1, 121))), ["regression", "row numbers: is it what is to be predicted? If not, name another column"]),
        (tuple(map(str, DAYS)) * 2, ["multiclass, 60 classes", "a date: is it what is to be predicted?", "60 of 60 classes"]),
        ((*MANY, *["-999"] * 5), ["regression, numbers from 0.5 to 94.5", "5 of 100 cells are '-999'"]),
        ((*MANY, "none"), ["regression", "1 of 96 cells is 'none', taken as missing"]),
        (("a", "b", "c") * 20 + ("d",), ["4 classes", "1 of 4 classes has fewer than 10 of the rows read ('d': 1), too few to learn and to evaluate; collect"]),
        ((*"abcdefghij",) + ("k", "l") * 20, ["12 classes", "LABEL_SQL = \"IF(label NOT IN ('k', 'l'), 'other', label)\" in trainer/features.py makes one class of them"]),
        (tuple(f"r{n % 9}" for n in range(18)) + tuple(f"c{n % 9}" for n in range(180)), ["18 classes", "too few to learn and to evaluate; make one class of them by LABEL_SQL in trainer/features.py"]),
        (("0",) * 500 + ("1",) * 3, ["binary", "('1': 3), too few to learn and to evaluate; collect more rows"]),
        (("low", "mid", "none") * 20, ["3 classes", "'none' (20 of 60 rows) counts as a class; if it means that the label is missing, write LABEL_SQL = \"NULLIF(label, 'none')\""]),
    ],
)  # fmt: skip
def test_what_is_to_be_known_about_a_label_is_reported(
    cells: tuple[str, ...], notes: list[str]
) -> None:
    found = described_label(column(*cells)).notes
    assert len(found) == len(notes)
    assert all(part in note for part, note in zip(notes, found, strict=True))


@pytest.mark.parametrize(
    "last",
    [
        tuple(f"{day}" for day in DAYS),
        tuple(map(str, range(60))),
        ("same",) * 60,
        ("",) * 60,
        tuple(f"k{number}" for number in range(60)),
        tuple(f"comment number {number} of many" for number in range(60)),
        ("a", "b", "c", "", "", "", "") * 9,
        tuple(f"name {number % 30}" for number in range(90)),
    ],
)
def test_row_numbers_constants_and_names_are_no_labels(
    tmp_path: Path, last: tuple[str, ...]
) -> None:
    rows = [f"{number}.5,{number % 2},{cell}\n" for number, cell in enumerate(last)]
    for name in ("last", "target"):
        path = tmp_path / f"{name}.csv"
        path.write_text(f"size,kind,{name}\n{''.join(rows)}", encoding="utf-8")
        assert inferred_label(str(path)) == "kind"


def test_a_last_column_that_is_no_label_is_reported_after_baking_too(tmp_path: Path) -> None:
    rows = [f"{number % 7},{'uv'[number % 2]},same\n" for number in range(60)]
    path = tmp_path / "table.csv"
    path.write_text(f"a,b,c\n{''.join(rows)}", encoding="utf-8")
    line = "label    'c' is not proposed: the same value in every row"
    for label, lines in ((inferred_label(str(path)), [line]), ("a", [])):
        features = inferred_features(str(path), label)
        notes = parsed(checked_features(features, str(path), label))["notes"]
        assert [each for each in notes if "not proposed" in each] == lines


def test_a_nested_column_is_refused_as_the_label() -> None:
    nested = replace(column("", ""), reason="its cells are lists or objects")
    message = refused(lambda: task_of(nested), "label: the column 'x' cannot be predicted")
    assert "its cells are lists or objects; expected text or numbers; name another" in message


def test_the_key_of_folders_is_not_proposed(tmp_path: Path) -> None:
    for year in ("2023", "2024"):
        folder = tmp_path / f"year={year}"
        folder.mkdir()
        (folder / "part.csv").write_text("size,sold\n" + "1,yes\n2,no\n" * 20)
    assert inferred_label(str(tmp_path)) == "sold"
