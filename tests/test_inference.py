"""The answers about a table: its label and its features, as they are inferred, checked and given to the templates."""

from pathlib import Path
from typing import Any

import pytest

from cmle_extension import adult
from cmle_extension.dataset import (
    checked_data_path,
    checked_features,
    checked_label,
    inferred_features,
    inferred_label,
    listed_features,
)
from cmle_extension.quoting import parsed
from tests.columns import DAYS, MISSING
from tests.refused import refused


@pytest.mark.parametrize(
    ("rows", "decimal"),
    [
        (["1,5;2,25", "-0,5;10,5", "3,5;7,75"], ","),
        (["1.234,5;7", "2.500,25;8", "17,5;9"], ","),
        (["4,501;1,234", "7,634;2,345", "8,194;3,456"], ","),  # nothing has a point
        (["1,234;4.5", "2,345;5.5", "3,456;6.5"], "."),
        (["1.5;2.5", "2.5;3.5", "3.5;4.5"], "."),
        (['"1,5 kg";7', '"2,5 kg";8', '"3,25 kg";9'], ","),
        (['"1,234",4', '"2,345",5', '"3,456",6'], "."),
        (['"0,234",4', '"0,345",5', '"3,456",6'], ","),
    ],
)
def test_the_decimal_mark_is_that_of_the_table(
    tmp_path: Path, rows: list[str], decimal: str
) -> None:
    mark = ";" if ";" in rows[0] else ","
    rows = [f"{row}{mark}{'xy'[number % 2]}" for number, row in enumerate(rows * 5)]
    path = tmp_path / "table.csv"
    path.write_text("\n".join([mark.join(["a", "b", "label"]), *rows]), encoding="utf-8")
    table = parsed(checked_features(inferred_features(str(path), "label"), str(path), "label"))
    assert table["decimal"] == decimal
    assert [item["kind"] for item in table["columns"]] == ["numeric", "numeric"]
    assert table["notes"][0].startswith("table ") == (decimal == ",")


def test_units_and_orders_of_dates_reach_the_templates(tmp_path: Path) -> None:
    rows = [f"{n} kg,{day:%d.%m.%Y},{n % 7}.5 EUR,{n % 9}.5 km" for n, day in enumerate(DAYS)]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["a,b,c,way", *rows]), encoding="utf-8")
    table = parsed(checked_features("c:numeric", str(path), "way"))
    assert (table["units"], table["day_first"]) == ('{"way": "km", "a": "kg"}', ["b"])
    refused(lambda: checked_features("a:datetime", str(path), "way"), "'a' is datetime, but")
    assert inferred_label(str(path)) == "way"


def test_a_marker_of_missing_values_is_kept_where_it_is_a_number(tmp_path: Path) -> None:
    rows = [f"{number}.5,{'-999' if number < 9 else number},y{number % 2}" for number in range(90)]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["a,b,label", *rows]), encoding="utf-8")
    table = parsed(checked_features("a:numeric", str(path), "label"))
    assert "-999" in table["missing"]
    rows[5] = "-999,-999,y1"
    path.write_text("\n".join(["a,b,label", *rows]), encoding="utf-8")
    table = parsed(checked_features("a:numeric", str(path), "label"))
    assert "-999" not in table["missing"]
    assert "9 of 90 cells are '-999', a number in other columns" in table["columns"][1]["note"]


@pytest.fixture
def people(tmp_path: Path) -> str:
    """The path of a table of people."""
    rows = [f"{i},{i * 7 % 60},{'abc'[i % 3]},{i % 2},{i * 3 % 50}" for i in range(60)]
    path = tmp_path / "people.csv"
    path.write_text("\n".join(["id,age,city,self,pay", *rows]), encoding="utf-8")
    return checked_data_path(str(path))


def test_the_default_features_describe_the_table(people: str) -> None:
    label = checked_label(inferred_label(people), people)
    features = inferred_features(people, label)
    assert (label, features) == ("pay", "id:ignore, age:numeric, city:categorical, self:ignore")
    reason = "TensorFlow cannot serve a column of this name; rename it in the file"
    assert parsed(checked_features(features, people, label)) == {
        "label": "pay",
        "task": "regression",
        "positive": "",
        "label_sql": "",
        "delimiter": ",",
        "encoding": "utf-8",
        "comment": "",
        "header": [],
        "missing": MISSING,
        "columns": [
            {"name": "id", "kind": "ignore", "note": "row numbers"},
            {"name": "age", "kind": "numeric", "note": ""},
            {"name": "city", "kind": "categorical", "note": ""},
            {"name": "self", "kind": "ignore", "note": reason},
        ],
        "units": "{}",
        "decimal": ".",
        "day_first": [],
        "notes": [
            "label    pay: regression, numbers from 0 to 49",
            "not used id: row numbers",
            f"not used self: {reason}",
        ],
    }


def test_the_sample_is_described_without_reading_it() -> None:
    label = checked_label(inferred_label(""), "")
    table: dict[str, Any] = parsed(checked_features(inferred_features("", label), "", label))
    columns = table.pop("columns")
    assert table == {
        "label": "income",
        "task": "binary",
        "positive": ">50K",
        "label_sql": "RTRIM(label, '.')",
        "delimiter": ",",
        "encoding": "utf-8",
        "comment": "|",
        "header": list(adult.HEADER),
        "missing": ["", "?"],
        "notes": [],
        "units": "{}",
        "decimal": ".",
        "day_first": [],
    }
    assert [item["name"] for item in columns] == list(adult.HEADER[:-1])
    assert sum(item["kind"] == "numeric" for item in columns) == 6
    assert sum(item["kind"] == "categorical" for item in columns) == 8


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("Pay", ("no column 'Pay'", "write 'pay', if that is what you mean")),
        ("", ("no column ''", "write 'pay', its last column")),
        ("id\n", ("contains a control character",)),
    ],
)
def test_a_label_that_the_table_lacks_is_refused(
    people: str, label: str, words: tuple[str, ...]
) -> None:
    refused(lambda: checked_label(label, people), "label: ", *words)


def test_the_sample_has_one_label() -> None:
    refused(
        lambda: checked_label("age", ""),
        "the label of the census sample cannot be 'age'",
        "expected income",
    )
    refused(lambda: checked_label("incme", ""), "no column 'incme'", "write 'income', if")


ALL = {"id": "ignore", "age": "numeric", "city": "categorical", "self": "ignore"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"age": "number"}, ("kind of column 'age' is 'number'", "write 'numeric', if")),
        ({"age": ""}, ("kind of column 'age' is ''", "write ignore to leave")),
        ({"ages": "numeric"}, ("no column 'ages'", "write 'age', if")),
        ({"qqq": "numeric"}, ("no column 'qqq'", "remove it from the list")),
        ({"pay": "numeric"}, ("the label 'pay' is listed", "every column but the label")),
        ({"self": "numeric"}, ("named 'self'", "TensorFlow cannot serve", "self:ignore")),
        (
            {"age": "ignore", "city": "ignore"},
            ("every column is ignored", "chosen by the answer", "at least one"),
        ),
        ({"city": "numeric"}, ("'city' is numeric, but contains 'a'", "write city:categorical")),
    ],
)
def test_features_that_do_not_fit_the_table_are_refused(
    people: str, change: dict[str, str | None], words: tuple[str, ...]
) -> None:
    kinds = {name: kind for name, kind in {**ALL, **change}.items() if kind is not None}
    text = ", ".join(f"{name}:{kind}" for name, kind in kinds.items())
    refused(lambda: checked_features(text, people, "pay"), "features: ", *words)


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("self:ignore", {}),
        ("self:Ignore, age:categorical", {"age": "categorical"}),
        ("self:ignore,id:HASHED", {"id": "hashed"}),
        ("self:ignore,", {}),
    ],
)
def test_columns_that_are_not_listed_keep_their_inferred_kind(
    people: str, text: str, changed: dict[str, str]
) -> None:
    table = checked_features(text, people, "pay")
    columns = {column["name"]: column["kind"] for column in parsed(table)["columns"]}
    assert columns == ALL | changed
    assert list(columns) == list(ALL)  # as in the file
    assert checked_features(listed_features(table), people, "pay") == table


def test_a_column_listed_twice_is_refused(people: str) -> None:
    text = "age:numeric, age:ignore"
    refused(lambda: checked_features(text, people, "pay"), "'age' is listed twice")


def test_a_column_with_leading_zeros_may_be_declared_numeric(tmp_path: Path) -> None:
    path = tmp_path / "codes.csv"
    path.write_text("code,label\n02134,a\n-007.5,b\n02134,a\n", encoding="utf-8")
    assert inferred_features(str(path), "label") == "code:categorical"
    assert parsed(checked_features("code:numeric", str(path), "label"))["task"] == "binary"


def test_a_hostile_class_reaches_the_templates_as_data(tmp_path: Path) -> None:
    path = tmp_path / "hostile.csv"
    path.write_text("a,label\n1.5,no\n2.5,{{ 7*7 }}\n3.5,no\n", encoding="utf-8")
    text = checked_features("a:numeric", str(path), "label")
    assert "{{" not in text
    assert parsed(text)["positive"] == "{{ 7*7 }}"
