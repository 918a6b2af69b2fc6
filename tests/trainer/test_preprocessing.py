"""Preprocessing: what is rejected, deduplicated, reused or refused, whatever the order, threads and memory."""

import csv
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Row, made_up_rows, write_table
from trainer import features, prepare
from trainer.data import files
from trainer.data.schema import Schema
from trainer.data.shards import row_groups
from trainer.data.statistics import read_statistics
from trainer.preprocessing import cell_sql, engine, shard_writer, sql
from trainer.run.errors import UserError


def run(train: Path, output: Path, *options: str) -> int:
    """Prepare quietly."""
    return prepare.main(["--train", str(train), "--output", str(output), "-q", *options])


def test_shards_have_the_same_bytes_with_any_number_of_threads_and_any_memory(
    schema: Schema, rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As many rows as several threads take a part of.
    train = write_table(tmp_path / "train.data", schema, rows * 600)
    database, found = engine.database, []
    run(train, tmp_path / "one file")
    for name, count in ("SHARD_ROWS", 20_000), ("ROW_GROUP_ROWS", 500), ("ROWS_AT_ONCE", 2_000):
        monkeypatch.setattr(shard_writer, name, count)
    for threads, memory_mb in (1, "4096"), (2, "512"), (4, "2048"):
        setting = f"SET threads = {threads}"
        monkeypatch.setattr(engine, "database", lambda *rest, s=setting: database(*rest).execute(s))
        run(train, tmp_path / str(threads), "--memory-mb", memory_mb)
        found.append(read_statistics(tmp_path / str(threads), schema))
    assert found[0] == found[1] == found[2] and len(found[0].fingerprint) == 64
    whole, shards = (sorted((tmp_path / of / "train").iterdir()) for of in ("one file", "1"))
    assert len(whole) == 1 and len(shards) == shard_writer.shard_count(found[0].rows["train"]) > 2
    assert pq.read_table(whole[0]) == pa.concat_tables(map(pq.read_table, shards))
    for path in shards:
        *full, last = (group.rows for group in row_groups(path.parent) if group.path == path)
        assert {*full} == {500} and 0 < last <= full[0]


@pytest.mark.parametrize(("rows", "count"), [(1, 1), (8, 1), (9, 2), (16, 2), (17, 4), (33, 8)])
def test_the_number_of_shards_is_the_least_power_of_two(
    rows: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_writer, "SHARD_ROWS", 8)
    assert shard_writer.shard_count(rows) == count


def test_codes_do_not_depend_on_how_many_columns_are_joined_at_once(
    schema: Schema, rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    coded = [dict.fromkeys(schema.coded, each) for each in ("only here", "once")]
    train = write_table(tmp_path / "train.data", schema, [*rows, *(rows[0] | c for c in coded)])
    run(train, tmp_path / "50")
    for count in 2, 0:
        monkeypatch.setattr(sql, "JOINS_AT_ONCE", count)
        run(train, tmp_path / str(count))
        for path in (tmp_path / "50").rglob("*.parquet"):
            other = tmp_path / str(count) / path.relative_to(tmp_path / "50")
            assert other.read_bytes() == path.read_bytes()


@pytest.mark.parametrize(("in_memory", "joined"), [(8, {2}), (7, {0, 2}), (0, {0, 1, 2, 3})])
def test_columns_of_most_cells_are_joined(
    in_memory: int, joined: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql, "JOINS_AT_ONCE", 1)
    monkeypatch.setattr(sql, "CELLS_IN_MEMORY", in_memory)
    assert sql.joined_columns([5, 1, 9, 2]) == joined


def test_numbers_do_not_depend_on_how_many_are_read_at_once(
    schema: Schema, rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "COLUMNS", {**schema.columns, "sum": "numeric"})
    monkeypatch.setattr(features, "DERIVED", {"sum": f"`{schema.numeric[-1]}` + 1"})
    numeric = schema.of_kind("numeric")
    bad = [{**rows[0], numeric[0]: "low"}, {**rows[1], numeric[-1]: "1_000"}]
    train = write_table(tmp_path / "train.data", schema, [*rows, *bad])
    test = write_table(tmp_path / "test.data", schema, [*rows[:40], *bad])
    for name, count in (("together", 200), ("apart", 2)):
        monkeypatch.setattr(sql, "NUMBERS_AT_ONCE", count)
        run(train, tmp_path / name, "--test", str(test), "--max-rejected-share", "0.1")
    found = sorted(path for path in (tmp_path / "together").rglob("*") if path.is_file())
    rejects = (tmp_path / "apart" / files.REJECTS).read_text("utf-8")
    assert len(found) == 6 and rejects.count("low") == rejects.count("1_000") == 4
    for path in found:
        apart = tmp_path / "apart" / path.relative_to(tmp_path / "together")
        assert apart.read_bytes() == path.read_bytes()


def test_no_statement_is_too_long_for_bigquery(schema: Schema) -> None:
    columns = {f"column {number}": "numeric" for number in range(10_000)}
    wide = replace(schema, columns={**columns, "ignored": "ignore"}, derived={}, units={})
    parts = sql.later_numbers(wide)
    statements = [
        *(sql.validated_rows(wide, True), sql.summary(wide), sql.encoded(wide, "train", ())),
        *(sql.with_numbers("prepared", wide, part) for part in parts),
    ]
    assert sum(map(len, parts)) == 10_000 - sql.NUMBERS_AT_ONCE
    assert max(map(len, statements)) < 1 << 20


def test_duckdb_gives_numbers_in_the_types_of_shards_and_joins_cells_alike() -> None:
    query = "SELECT 0.1 AS x0, 7 AS k0, 't' AS t0, ARRAY_TO_STRING(['a', NULL, ''], '-') AS joined"
    found = duckdb.sql(engine.in_duckdb(query, [pa.float32(), pa.int32(), None])).to_arrow_table()
    assert [*map(str, found.schema.types)] == ["float", "int32", "string", "string"]
    assert found.to_pylist() == [{"x0": 0.10000000149011612, "k0": 7, "t0": "t", "joined": "a-"}]
    assert "CONCAT_WS" in engine.in_duckdb(query)


def test_the_order_of_rows_does_not_change_the_split(
    schema: Schema, rows: list[Row], tmp_path: Path
) -> None:
    for name, ordered in (("one", rows), ("two", rows[::-1])):
        run(write_table(tmp_path / f"{name}.data", schema, ordered), tmp_path / name)
    one, two = (read_statistics(tmp_path / name, schema) for name in ("one", "two"))
    assert one.rows == two.rows
    assert one.vocabularies == two.vocabularies


def test_equal_rows_are_kept_once_if_asked(schema: Schema, rows: list[Row], tmp_path: Path) -> None:
    train = write_table(tmp_path / "train.data", schema, [*rows, *rows])
    run(train, tmp_path / "all")
    run(train, tmp_path / "unique", "--deduplicate")
    unique = len({tuple(row.items()) for row in rows})
    assert sum(read_statistics(tmp_path / "all", schema).rows.values()) == 2 * len(rows)
    assert sum(read_statistics(tmp_path / "unique", schema).rows.values()) <= unique


def test_a_row_without_a_label_is_left_out_and_reported(
    schema: Schema, rows: list[Row], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = write_table(tmp_path / "train.data", schema, [*rows, {**rows[0], schema.label: ""}])
    run(train, tmp_path / "output")
    assert "1 row(s) have no label and are left out" in capsys.readouterr().err
    assert "the label is missing" in (tmp_path / "output" / files.REJECTS).read_text(
        encoding="utf-8"
    )


def test_a_typo_in_a_number_is_rejected_with_its_reason(
    schema: Schema, rows: list[Row], tmp_path: Path
) -> None:
    if not schema.of_kind("numeric"):
        pytest.skip("no numeric column")
    name = schema.of_kind("numeric")[0]
    train = write_table(tmp_path / "train.data", schema, [*rows, {**rows[0], name: "4O"}])
    run(train, tmp_path / "output")
    assert "4O is not a finite number" in (tmp_path / "output" / files.REJECTS).read_text(
        encoding="utf-8"
    )


def test_a_missing_marker_may_be_a_number(
    schema: Schema, rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not schema.of_kind("numeric"):
        pytest.skip("no numeric column")
    name = schema.of_kind("numeric")[0]
    marked = [{**row, name: "-999"} for row in rows]
    monkeypatch.setattr(features, "MISSING", ("-999",))
    run(write_table(tmp_path / "train.data", schema, marked), tmp_path / "output")
    statistics = read_statistics(tmp_path / "output", schema)
    assert statistics.numeric[name].missing == statistics.rows["train"]


def test_too_many_rejects_fail_and_leave_only_the_rejects(
    schema: Schema, rows: list[Row], tmp_path: Path
) -> None:
    if not schema.of_kind("numeric"):
        pytest.skip("no numeric column")
    invalid = [{**row, schema.of_kind("numeric")[0]: "4O"} for row in rows[:40]]
    train = write_table(tmp_path / "train.data", schema, [*invalid, *rows[40:]])
    with pytest.raises(UserError, match=r"40 of 400 rows cannot be used \(10.00%\).*at most 1.00%"):
        run(train, tmp_path / "output")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["output.rejects.csv", "train.data"]


def rejects_with(train: Path, schema: Schema, rows: list[Row], lines: str) -> list[list[str]]:
    """Prepare a table with more lines at its end; return what is rejected."""
    if not schema.delimiter:
        pytest.skip("a Parquet file has no lines")
    write_table(train, schema, rows)
    with train.open("a", encoding="utf-8") as file:
        file.write(lines)
    output = train.with_name("output")
    run(train, output)
    with (output / files.REJECTS).open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_a_ragged_line_is_rejected(schema: Schema, rows: list[Row], tmp_path: Path) -> None:
    [(_, _, reason, _)] = rejects_with(tmp_path / "train.data", schema, rows, "cut short\n")
    assert "Expected Number of Columns" in reason


def test_a_ragged_row_of_several_lines_is_rejected_once(
    schema: Schema, rows: list[Row], tmp_path: Path
) -> None:
    ragged = '"a cell\nof three\nlines"\r\n'
    [(_, line, _, text)] = rejects_with(tmp_path / "train.data", schema, rows, ragged)
    assert line and "of three" in text


def test_no_rejected_cell_is_a_formula_to_a_spreadsheet(
    schema: Schema, rows: list[Row], tmp_path: Path
) -> None:
    lines = '=HYPERLINK("https://example.com")\n@cut short\n'
    rejects = rejects_with(tmp_path / "=1+1.data", schema, rows, lines)
    assert len(rejects) == 2
    assert not any(cell.startswith(("=", "@")) for cells in rejects for cell in cells)


@pytest.mark.parametrize("line_end", [b"\r\n", b"\n"], ids=["strict", "lenient"])
def test_lines_lost_in_an_unclosed_quote_are_counted(
    schema: Schema, rows: list[Row], tmp_path: Path, line_end: bytes
) -> None:
    if not schema.delimiter:
        pytest.skip("a Parquet file has no lines")
    train = write_table(tmp_path / "train.data", schema, rows)
    plain = [row for row in rows if not {'"', schema.delimiter} & set("".join(row.values()))] * 30
    more = write_table(tmp_path / "more.data", schema, plain).read_bytes()
    swallowed = more if schema.header else more.partition(b"\r\n")[2]
    with train.open("ab") as file:
        file.write(b'"' + swallowed.replace(b"\r\n", line_end))
    run(train, tmp_path / "output", "--max-rejected-share", "0.99")
    statistics = read_statistics(tmp_path / "output", schema)
    assert statistics.rejected >= len(plain)
    assert sum(statistics.rows.values()) + statistics.rejected == len(rows) + len(plain)


def test_blank_lines_and_lines_within_cells_are_no_lost_rows(
    schema: Schema, rows: list[Row], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not schema.delimiter:
        pytest.skip("a Parquet file has no lines")
    long = [{**row, **dict.fromkeys(schema.coded, "one\ntwo")} for row in rows[:9]]
    train = write_table(tmp_path / "train.data", schema, [*rows, *long])
    with train.open("ab") as file:
        file.write(b"\r\n\r\n")
    run(train, tmp_path / "output")
    assert read_statistics(tmp_path / "output", schema).rejected == 0
    assert "cannot be used" not in capsys.readouterr().err


def test_two_kinds_of_line_ends_in_a_file_lose_no_row(
    schema: Schema, rows: list[Row], tmp_path: Path
) -> None:
    if not schema.delimiter:
        pytest.skip("a Parquet file has no lines")
    train = write_table(tmp_path / "train.data", schema, rows)
    lines = train.read_bytes().splitlines(keepends=True)
    train.write_bytes(b"".join([*lines[:9], *(line.replace(b"\r\n", b"\n") for line in lines[9:])]))
    run(train, tmp_path / "output")
    assert sum(read_statistics(tmp_path / "output", schema).rows.values()) == len(rows)


def test_a_label_with_one_class_is_refused(schema: Schema, rows: list[Row], tmp_path: Path) -> None:
    if schema.task == "regression":
        pytest.skip("a number has no classes")
    same = [{**row, schema.label: rows[0][schema.label]} for row in rows]
    with pytest.raises(UserError, match="has one value in the training rows"):
        run(write_table(tmp_path / "train.data", schema, same), tmp_path / "output")


def test_an_empty_split_is_refused(schema: Schema, rows: list[Row], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the eval split has no rows .* eval_share in job.toml"):
        run(
            write_table(tmp_path / "train.data", schema, rows),
            tmp_path / "output",
            "--eval-share",
            "0",
        )


@pytest.mark.parametrize(
    ("flag", "number"),
    [("--eval-share", "nan"), ("--max-rejected-share", "1"), ("--memory-mb", "-1")],
)
def test_a_number_that_an_option_does_not_take_is_refused(
    flag: str, number: str, schema: Schema, rows: list[Row], tmp_path: Path
) -> None:
    train = write_table(tmp_path / "train.data", schema, rows)
    with pytest.raises(UserError, match=rf"^{flag} is {number}[.0]*; expected a .*; .*{flag}"):
        run(train, tmp_path / "output", flag, number)


def test_prepared_data_is_reused_until_something_changes(
    schema: Schema, rows: list[Row], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = write_table(tmp_path / "train.data", schema, rows)
    arguments = ["--train", str(train), "--output", str(tmp_path / "output"), "--reuse"]
    reused = []
    for extra in ([], [], ["--eval-share", "0.3"]):
        assert prepare.main([*arguments, *extra]) == 0
        reused.append("is current" in capsys.readouterr().err)
    assert reused == [False, True, False]


def test_a_column_of_too_many_values_is_reported(
    schema: Schema,
    rows: list[Row],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if not schema.vocabulary:
        pytest.skip("no categorical column")
    monkeypatch.setattr(features, "VOCABULARY_LIMIT", 2)
    run(write_table(tmp_path / "train.data", schema, rows), tmp_path / "output")
    assert '"hashed" in trainer/features.py distinguishes more' in capsys.readouterr().err
    vocabularies = read_statistics(tmp_path / "output", schema).vocabularies.values()
    assert max(map(len, vocabularies)) == 2


def test_two_preparations_in_parallel_do_not_collide(
    schema: Schema, rows: list[Row], tmp_path: Path
) -> None:
    train = write_table(tmp_path / "train.data", schema, rows * 100)
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(run, train, tmp_path / "output") for _ in range(2)]
        assert [each.result() for each in both] == [0, 0]
    assert sum(read_statistics(tmp_path / "output", schema).rows.values()) == 100 * len(rows)
    assert {path.name for path in tmp_path.iterdir()} == {
        ".output.source.json",
        "output",
        "train.data",
    }


def test_a_folder_with_other_files_is_left_alone(
    schema: Schema, rows: list[Row], tmp_path: Path
) -> None:
    output = tmp_path / "mine"
    output.mkdir()
    (output / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(UserError, match="holds other files.*nothing was changed"):
        run(write_table(tmp_path / "train.data", schema, rows), output)
    assert [path.name for path in output.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("cell", ["", " ", "\t?\n", " NA", "a b ", "\u00a0x", "\x1fx\x1f"])
def test_a_value_is_the_same_in_python_and_in_sql(cell: str, schema: Schema) -> None:
    query = engine.in_duckdb(f"SELECT {cell_sql.value(cell_sql.literal(cell), schema)}")
    assert duckdb.connect().execute(query).fetchone() == (schema.value(cell),)


def test_made_up_rows_differ_by_seed(schema: Schema) -> None:
    assert made_up_rows(schema, 20, seed=1) != made_up_rows(schema, 20, seed=2)


@pytest.mark.parametrize("text", ["NOT (A QUERY", "NO_SUCH_FUNCTION(label)", "no_such_column"])
def test_sql_for_the_label_that_cannot_run_is_refused(
    schema: Schema, rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    train = write_table(tmp_path / "train.data", schema, rows)
    monkeypatch.setattr(features, "LABEL_SQL", text)
    with pytest.raises(UserError, match="LABEL_SQL is .* expected BigQuery SQL over the column"):
        run(train, tmp_path / "output")


def test_too_little_memory_is_reported(schema: Schema, rows: list[Row], tmp_path: Path) -> None:
    train = write_table(tmp_path / "train.data", schema, rows)
    with pytest.raises(
        UserError, match="cannot be prepared within the memory.*give a larger --memory-mb"
    ):
        run(train, tmp_path / "output", "--memory-mb", "1")
    assert [path.name for path in tmp_path.iterdir()] == ["train.data"]


@pytest.mark.parametrize("content", ["{}", "[]", "{", '{"label": {}}'])
def test_statistics_of_another_version_are_refused_and_prepared_again(
    schema: Schema, rows: list[Row], tmp_path: Path, content: str
) -> None:
    train = write_table(tmp_path / "train.data", schema, rows)
    output = tmp_path / "output"
    output.mkdir()
    (output / files.STATISTICS).write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match="statistics.json cannot be read .*; run `nox -s prepare`"):
        read_statistics(output, schema)
    run(train, output, "--reuse")
    assert sum(read_statistics(output, schema).rows.values()) == len(rows)
