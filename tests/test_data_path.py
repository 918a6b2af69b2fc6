"""The path that data_path names: how it may be written, the folders and patterns, and what is refused."""

import gzip
import os
from pathlib import Path

import pytest

from cmle_extension import data_file
from cmle_extension.dataset import (
    checked_data_path,
    checked_features,
    checked_label,
    inferred_features,
)
from cmle_extension.shared import table_files
from cmle_extension.table import cached_table, read_table
from tests.refused import refused
from tests.small_tables import GOOD, LINES, written


def test_the_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, GOOD)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert checked_data_path("table.csv") == path
    assert checked_data_path(os.path.join("~", "table.csv")) == path
    assert checked_data_path("") == ""


@pytest.mark.parametrize(
    "answer",
    [
        *('"my table.csv"', "'my table.csv'", "my\\ table.csv"),
        *(
            "$HOME/my table.csv",
            "${HOME}/my\\ table.csv",
            '"$HOME/my table.csv"',
            "'~/my table.csv'",
        ),
    ],
)
def test_a_path_may_be_written_as_in_a_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    path = written(tmp_path, GOOD, "my table.csv")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert checked_data_path(answer) == path


@pytest.mark.parametrize("name", ["'a'.csv", "$HOME.csv", "a\\b.csv", "it's.csv", "~.csv"])
def test_a_file_with_a_strange_name_is_read_as_it_stands(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, GOOD, name)
    assert checked_data_path(path) == path


@pytest.mark.parametrize(
    "answer",
    ['"', "it's", "$NOTHING/a.csv", "$(touch pwned).csv", "`touch pwned`", "''", "a.csv b"],
)
def test_a_path_that_no_file_has_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.chdir(tmp_path)
    refused(lambda: checked_data_path(answer), "data_path: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("nowhere.csv", "cannot be opened (No such file or directory)"),
        ("gs://bucket/table.csv", "gcloud storage cp"),
        ("'gs://bucket/table.csv'", "'gs://bucket/table.csv' is not on this machine; expected"),
        ("bq://project.dataset.table", "bq query"),
        ("https://host/a.csv", "'https://host/a.csv' is not on this machine; expected on this"),
        ("HTTP://host/a.csv?x=1&y=2", "download it first, as with curl -LO"),
        ("s3://bucket/table.csv", "copy a file of it here first; the project reads gs://"),
        ("abfss://bucket@host/table.csv", "copy a file of it here first"),
        ("file:///tmp/table.csv", "without file://"),
        (".", "is a folder without a table"),
        ("*.csv", "cannot be opened"),
        ("x" * 5000 + ".csv", "cannot be opened"),
        ("{{cookiecutter}}.csv", "would be evaluated as a template"),
    ],
)
def test_a_path_without_a_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    refused(lambda: checked_data_path(path), "data_path: ", words)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    path = tmp_path / "pipe.csv"
    os.mkfifo(path)
    refused(lambda: checked_data_path(str(path)), "is not a regular file")


def test_a_file_that_may_not_be_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = written(tmp_path, GOOD)
    monkeypatch.setattr(Path, "open", deny)
    refused(lambda: checked_data_path(path), "is not readable (Permission denied)", "permissions")


def test_a_file_is_read_once_unless_it_changes(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    first = read_table(checked_data_path(path))
    misses = cached_table.cache_info().misses
    checked_features(inferred_features(path, "label"), path, checked_label("label", path))
    assert cached_table.cache_info().misses == misses
    written(tmp_path, GOOD.replace("city", "town"))
    assert read_table(path) != first


@pytest.mark.parametrize("answer", ["parts", "parts/*", "parts/**/*.csv*", "pa?ts"])
def test_a_folder_or_a_pattern_is_one_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "parts" / "Year=2020" / "place=a%20b").mkdir(parents=True)
    (tmp_path / "parts" / "Year=2021" / "place=__HIVE_DEFAULT_PARTITION__").mkdir(parents=True)
    folders = sorted((tmp_path / "parts").glob("*/*"))
    written(folders[0], GOOD, "1.csv")
    written(folders[1], gzip.compress(b"label,age,city\nyes,1,Nice\n"), "2.csv.gz")
    written(tmp_path / "parts", b"", "_SUCCESS")
    table = read_table(checked_data_path(answer))
    assert {name: [*column.cells] for name, column in table.columns.items()} == {
        "age": ["31", "47", "31", "1"],
        "city": ["Rome", "Oslo", "Rome", "Nice"],
        "label": ["yes", "no", "no", "yes"],
        "Year": ["2020", "2020", "2020", "2021"],
        "place": ["a b", "a b", "a b", ""],
    }
    assert table.columns["age"].starts == (0, 3)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (
            "b.csv",
            GOOD.replace("city", "town", 1),
            "'b.csv' has no column 'city', which 'a.csv' has",
        ),
        (
            "b.csv",
            GOOD.replace("\n", ",1\n").replace("l,1", "l,more", 1),
            "'a.csv' has no column 'more'",
        ),
        ("b.jsonl", LINES, "'a.csv' is CSV, 'b.jsonl' JSON"),
    ],
)
def test_files_that_are_not_of_one_table_are_refused(
    tmp_path: Path, name: str, content: str, words: str
) -> None:
    written(tmp_path, GOOD, "a.csv")
    written(tmp_path, content, name)
    refused(lambda: checked_data_path(str(tmp_path)), words)


def looking(*_: object, **__: object) -> None:
    raise AssertionError("the whole folder is looked at")


@pytest.mark.parametrize("pattern", ["", "*", "*/", "**/*.csv", "a/**"])
def test_a_folder_of_too_many_entries_is_refused_before_all_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    monkeypatch.setattr(data_file, "MOST_ENTRIES", 15)
    monkeypatch.setattr(table_files, "files_of", looking)
    monkeypatch.setattr("glob.glob", looking)
    for folder in ("a/b", "a/c", "d"):
        (tmp_path / folder).mkdir(parents=True)
        for number in range(7):
            written(tmp_path / folder, GOOD, f"{number}.csv")
    refused(lambda: checked_data_path(f"{tmp_path}/{pattern}"), "more than 15 files and folders")


def test_the_root_of_the_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_file, "MOST_ENTRIES", 1_000)
    monkeypatch.setattr(table_files, "files_of", looking)
    refused(lambda: checked_data_path("/"), "'/' holds more than 1,000 files and folders")


def test_a_folder_of_not_too_many_entries_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_file, "MOST_ENTRIES", 2)
    for folder in ("table", "another"):
        (tmp_path / folder).mkdir()
        for number in range(2):
            written(tmp_path / folder, GOOD, f"{number}.csv")
    for path in ("table", "table/*.csv", "t*/1.csv"):
        assert checked_data_path(f"{tmp_path}/{path}") == f"{tmp_path}/{path}"
