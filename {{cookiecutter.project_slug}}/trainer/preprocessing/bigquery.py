"""BigQuery as the engine of the preparation: the same statements as jobs, their large results as Parquet in a bucket.

Each job has an ID of its own, so that a request whose answer is lost makes no second job, and a limit of what it may bill.
"""

import contextlib
import importlib
import io
import itertools
import os
import platform
import re
import shutil
import uuid
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow.parquet import ParquetFile, write_table

from trainer.data.schema import Schema, check_names
from trainer.data.table_files import BEGINNING_BYTES, PARQUET
from trainer.preprocessing.cell_sql import literal
from trainer.preprocessing.columns import file_column, raw_column
from trainer.preprocessing.engine import BATCH_ROWS
from trainer.preprocessing.provenance import Request
from trainer.preprocessing.raw_table import Table, layout_of
from trainer.preprocessing.sql import KEYS, joined
from trainer.run.console import Console
from trainer.run.errors import UserError, shown

KEPT_MS = 24 * 3_600_000  # the tables of a preparation that was killed
BY_KEY = " ORDER BY r.row_key"
GB, ROWS_AT_ONCE, MOST_PARTS = 10**9, 1 << 23, 1 << 11
CSV: dict[str, Any] = {  # the null marker is in no cell: NULL is a column that a line lacks
    **{"source_format": "CSV", "encoding": "UTF-8", "quote_character": '"'},
    **{"allow_quoted_newlines": True, "allow_jagged_rows": True, "null_marker": "\x1fno cell"},
    **{"max_bad_records": (1 << 31) - 1, "write_disposition": "WRITE_TRUNCATE"},
}
TABLE = re.compile(r"bq://([\w.:-]+)\.(\w+)\.([\w$-]+)")
SELECTING = re.compile(r"(CREATE TABLE|INSERT INTO) (\w+)(?: AS)? ((?:SELECT|WITH)\b.*)", re.DOTALL)
FUNCTION = re.compile(r"CREATE TEMP FUNCTION (\w+)")
SHORTEST = "REGEXP_REPLACE(IF(CAST(FORMAT('%.15g', {0}) AS FLOAT64) = {0}, FORMAT('%.15g', {0}), IF(CAST(FORMAT('%.16g', {0}) AS FLOAT64) = {0}, FORMAT('%.16g', {0}), FORMAT('%.17g', {0}))), r'^(-?[0-9]+)$', r'\\1.0')"  # that reads back, as DuckDB's
TEXTS = {"STRING": "{0}", "FLOAT": SHORTEST}
NESTED = ("RECORD", "STRUCT", "BYTES", "JSON", "GEOGRAPHY", "RANGE")
ARROW = {"STRING": "string", "INTEGER": "int64", "FLOAT": "float64", "BOOLEAN": "bool_"}
RAISING = ("google.api_core.exceptions", "google.auth.exceptions", "requests")
CORRECT = "correct it under [data] in job.toml"
LOG_IN = "correct what it names; without access, run `gcloud auth application-default login`"


@dataclass(frozen=True)
class RemoteTable(Table):
    """A table of BigQuery, or what a job has loaded from files in Cloud Storage."""

    relation: str = ""
    kinds: tuple[tuple[str, str], ...] = ()  # the name and the type of each column
    is_text: bool = False  # the columns are `p0` …, of lines that may lack cells
    comment: str = ""
    lost_lines: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.kinds)


class BigQuery:
    """A dataset whose tables expire, where the source and the bucket are; `Request.work` is a folder of the bucket."""

    def __init__(self, request: Request, folder: Path, console: Console) -> None:
        self.request, self.folder, self.console = request, folder, console
        self.module = importlib.import_module("google.cloud.bigquery")
        given: dict[str, Any] = {"project": request.project}
        if os.environ.get("BIGQUERY_EMULATOR_HOST"):  # it knows no accounts
            auth = importlib.import_module("google.auth.credentials")
            given["credentials"] = auth.AnonymousCredentials()
        name, _, folder_name = request.work.removeprefix("gs://").partition("/")
        # No other preparation has it: this machine's lock holds the output.
        own = f"prepare_{zlib.crc32(f'{request.work} {platform.node()} {request.output}'.encode()):08x}"
        self.prefix = f"{folder_name}/{own}"
        self.run_id, self.numbers = uuid.uuid4().hex[:12], itertools.count(1)
        self.left_bytes, self.functions = request.most_gb * GB, list[str]()
        with explained(f"the bucket {name}"):
            self.storage = importlib.import_module("google.cloud.storage").Client(**given)
            self.bucket = self.storage.get_bucket(name)
            self.client = self.module.Client(**given)
            self.location = self.location_of_tables()
            dataset = self.module.Dataset(f"{request.project}.{own}")
            dataset.location, dataset.default_table_expiration_ms = self.location, KEPT_MS
            self.dataset = self.client.create_dataset(dataset, exists_ok=True).reference
        folder.mkdir(parents=True, exist_ok=True)

    def location_of_tables(self) -> str:
        """Return where the jobs run; raise `UserError` unless the bucket is there, too."""
        place = str(self.bucket.location).upper()
        for path in self.request.tables.values():
            if found := TABLE.fullmatch(str(path)):
                location = str(self.client.get_dataset(f"{found[1]}.{found[2]}").location)
                within = {"US": "US-", "EU": "EUROPE-"}.get(location.upper())
                if location.upper() != place and not (within and place.startswith(within)):
                    what = f"the dataset of {path} is in {location}, the bucket {self.bucket.name} in {place.lower()}"
                    fix = "give a bucket of that location with --bucket, or copy the dataset"
                    raise UserError(what, "a table and a bucket in one location", fix)
                return location
        return place.lower() if "-" in place else place

    def open_table(self, path: Path, schema: Schema, split: str) -> RemoteTable:
        """Return the table at an address, of files a loaded copy; raise `UserError` if it does not fit the schema."""
        found = TABLE.fullmatch(str(path))
        if not found and not str(path).startswith("gs://"):
            expected = "bq://PROJECT.DATASET.TABLE or gs://…"
            raise UserError(f"{path} is no table of BigQuery", expected, CORRECT)
        with explained(str(path)):
            name = ".".join(found.groups()) if found else ""
            table = self.known(path, name) if found else self.loaded(path, schema, split)
        check_names(str(path), table.names, schema)
        for name, kind in table.kinds:
            if kind in NESTED and name in (schema.label, *schema.raw.used):
                what = f"{path} has the column {shown(name)} of the type {kind}"
                fix = 'give it the kind "ignore" in trainer/features.py, or make a view of it'
                raise UserError(what, "one value per cell", fix)
        return table

    def known(self, path: Path, relation: str) -> RemoteTable:
        fields = self.client.get_table(relation).schema
        kinds = ("RECORD" if each.mode == "REPEATED" else each.field_type for each in fields)
        named = zip((each.name for each in fields), kinds, strict=True)
        return RemoteTable(path, path, {}, relation=relation, kinds=tuple(named))

    def loaded(self, path: Path, schema: Schema, split: str) -> RemoteTable:
        """Load files into a table; the cells of CSV as text, by the layout of the first file."""
        (uri, head), relation = self.beginning(path), f"{self.dataset}.whole_{split}"
        if head.startswith(PARQUET):
            self.load_job(uri, relation, write_disposition="WRITE_TRUNCATE")
            return self.known(path, relation)
        first = self.folder / f"{split} begins"
        zipped = head.startswith(b"\x1f\x8b")
        first.write_bytes(zlib.decompressobj(31).decompress(head) if zipped else head)
        layout = layout_of(first, schema)
        if layout.kind != "csv" or layout.encoding != "utf-8":
            what = f"{path} is {layout.kind} in {layout.encoding}"
            raise UserError(what, "CSV in UTF-8, or Parquet", "use --engine local")
        columns = map(file_column, range(len(layout.names)))
        job = self.load_job(
            *(uri, relation),
            schema=[self.module.SchemaField(column, "STRING") for column in columns],
            skip_leading_rows=layout.skipped_lines + layout.comment_lines + layout.header,
            field_delimiter=layout.delimiter,
            **CSV,
        )
        bad = int(job._job_statistics().get("badRecords", 0))
        kinds = tuple((name, "STRING") for name in layout.names)
        return RemoteTable(path, path, {}, (), (), relation, kinds, True, layout.comment, bad)

    def beginning(self, path: Path) -> tuple[str, bytes]:
        """Return an address as a load job takes it, and the first bytes of its first file."""
        for address in (str(path), f"{path}/*"):  # that of a folder
            bucket, _, pattern = address.removeprefix("gs://").partition("/")
            start, star, end = pattern.partition("*")
            for blob in self.storage.list_blobs(bucket, prefix=start):
                if blob.size and (blob.name.endswith(end) if star else blob.name == pattern):
                    return address, bytes(blob.download_as_bytes(end=BEGINNING_BYTES))
        raise UserError(f"there is no file {path}", "an address with at most one *", CORRECT)

    def job(self, begin: Any, *arguments: Any, **settings: Any) -> Any:
        """Begin a job and return it at its end; where its answer was lost, the client has repeated the request."""
        identifier = f"prepare-{self.run_id}-{next(self.numbers):05d}"
        conflict = importlib.import_module("google.api_core.exceptions").Conflict
        with explained(f"the job {identifier}"):
            try:
                job = begin(*arguments, job_id=identifier, location=self.location, **settings)
            except conflict:
                job = self.client.get_job(identifier, location=self.location)
            job.result()
        return job

    def load_job(self, uri: str, table: Any, **settings: Any) -> Any:
        config = self.module.LoadJobConfig(**{"source_format": "PARQUET", **settings})
        return self.job(self.client.load_table_from_uri, uri, table, job_config=config)

    def query(self, statement: str, **settings: Any) -> Any:
        """Run a statement, which may bill what is left of the limit."""
        names = [found[1] for each in self.functions if (found := FUNCTION.match(each))]
        used = self.functions if any(f"{name}(" in statement for name in names) else []
        text = "".join(f"{each};\n" for each in used) + statement
        settings |= {"default_dataset": self.dataset, "use_query_cache": False}
        settings["maximum_bytes_billed"] = max(0, self.left_bytes)
        config = self.module.QueryJobConfig(**settings)
        if config.dry_run:
            return self.client.query(text, config, location=self.location)
        self.console.detail(text)
        job = self.job(self.client.query, text, config, job_retry=None)
        self.left_bytes -= job.total_bytes_billed or 0
        return job

    def run(self, statement: str) -> None:
        if FUNCTION.match(statement):
            self.functions.append(statement)
        elif selecting := SELECTING.fullmatch(statement):
            # Functions may stand before a SELECT alone. It replaces what a killed preparation left.
            how = "WRITE_TRUNCATE" if selecting[1] == "CREATE TABLE" else "WRITE_APPEND"
            target = self.dataset.table(selecting[2])
            self.query(selecting[3], destination=target, write_disposition=how)
        else:
            self.query(re.sub("^CREATE TABLE", "CREATE OR REPLACE TABLE", statement))

    def load(self, table: Table, schema: Schema, statement: str) -> None:
        assert isinstance(table, RemoteTable)
        self.query(f"CREATE OR REPLACE VIEW `{self.dataset}.source` AS {source_sql(table, schema)}")
        [(_, _, selected)] = SELECTING.findall(statement)
        with explained(str(table.path)):
            read = self.query(selected, dry_run=True).total_bytes_processed / GB
        what = f"{table.path}: BigQuery reads {read:,.3f} GB for its cells"
        self.console.line(f"data     {what}; all jobs may bill {self.left_bytes / GB:,.3f} GB")
        self.run(statement)

    def lost_lines(self, table: Table, rows: int) -> int:
        assert isinstance(table, RemoteTable)
        return table.lost_lines

    def bad_lines(self, table: Table) -> Iterator[tuple[str, int, str, str]]:
        assert isinstance(table, RemoteTable)
        if table.is_text:
            line = joined([*map(file_column, range(len(table.kinds)))])
            query = f"SELECT {line} AS line FROM {lines_sql(table, whole=False)} ORDER BY line"
            for batch in self.batches(query):
                for line in batch.column(0).to_pylist():
                    yield table.path.name, 0, f"fewer than {len(table.kinds)} columns", line

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        job = self.query(query)
        with explained("the rows of a query"):
            return [tuple(row.values()) for row in job.result()]

    def batches(self, query: str, rows: int = BATCH_ROWS, types: Sequence[Any] = ()) -> Any:
        if query.endswith(BY_KEY):
            count = self.rows("SELECT COUNT(*) FROM prepared")[0][0]
            parts = min(1 << ((count - 1) // ROWS_AT_ONCE).bit_length(), MOST_PARTS)
            if parts > 1:
                return self.batches_of_parts(query.removesuffix(BY_KEY), parts, rows)
        address = f"{self.prefix}/{self.run_id}/{next(self.numbers):05d}/"
        uri = f"gs://{self.bucket.name}/{address}*.parquet"
        options = f"uri='{uri}', format='PARQUET', overwrite=true"
        self.query(f"EXPORT DATA OPTIONS({options}) AS {query}")
        with explained(uri):
            blobs = sorted(self.bucket.list_blobs(prefix=address), key=lambda blob: blob.name)
            schema = arrow_schema(self.query(query, dry_run=True).schema)
        return pyarrow.RecordBatchReader.from_batches(schema, self.read(blobs, schema, rows))

    def batches_of_parts(self, query: str, parts: int, rows: int) -> Any:
        """Return rows by `row_key`, from a table with a partition for each range of keys: no sort is of all rows."""
        ranges = self.module.PartitionRange(start=0, end=parts, interval=1)
        by_range = self.module.RangePartitioning(range_=ranges, field="part")
        settings = {"range_partitioning": by_range, "write_disposition": "WRITE_TRUNCATE"}
        whole = f"SELECT *, DIV(row_key, {KEYS // parts}) AS part FROM ({query}) AS selected"
        self.query(whole, destination=self.dataset.table("parted"), **settings)
        part = "SELECT * EXCEPT (part) FROM parted WHERE part = {} ORDER BY row_key"
        readers = (self.batches(part.format(number), rows) for number in range(parts))
        first = next(readers)
        batches = itertools.chain(first, itertools.chain.from_iterable(readers))
        return pyarrow.RecordBatchReader.from_batches(first.schema, batches)

    def read(self, blobs: Any, schema: Any, rows: int) -> Iterator[Any]:
        """Yield the rows of Parquet files, whose names give their order, one file at a time."""
        path = self.folder / f"{next(self.numbers)}.parquet"
        for blob in blobs:
            with explained(blob.name):
                blob.download_to_filename(str(path))
            for batch in ParquetFile(path).iter_batches(rows):
                yield from pyarrow.Table.from_batches([batch]).cast(schema).to_batches()
            path.unlink()

    def put(self, name: str, rows: Any) -> None:
        file = io.BytesIO()
        write_table(rows, file)
        address = f"{self.prefix}/{self.run_id}/{next(self.numbers):05d}.parquet"
        with explained(address):
            self.bucket.blob(address).upload_from_string(file.getvalue())
        uri = f"gs://{self.bucket.name}/{address}"
        self.load_job(uri, self.dataset.table(name), write_disposition="WRITE_APPEND")

    def close(self) -> None:
        """Delete the dataset and the files, also those that a killed preparation left; tables expire in any case."""
        shutil.rmtree(self.folder, ignore_errors=True)
        try:
            with explained(f"{self.dataset} and {self.request.work} are left"):
                self.client.delete_dataset(self.dataset, delete_contents=True, not_found_ok=True)
                left = [*self.bucket.list_blobs(prefix=f"{self.prefix}/")]
                self.bucket.delete_blobs(left, on_error=lambda _: None)
        except UserError as error:
            self.console.warning(str(error))


def source_sql(table: RemoteTable, schema: Schema) -> str:
    """Return SQL for the cells of a table as text, in the order of `Schema.sources`, and the label."""
    cells = {}
    for index, (name, kind) in enumerate(table.kinds):
        other = "TO_JSON_STRING({0})" if kind in NESTED else "CAST({0} AS STRING)"
        column = file_column(index) if table.is_text else f"`{name}`"
        cells[name] = f"IFNULL({TEXTS.get(kind, other).format(column)}, '')"
    columns = [f"{cells[each]} AS {raw_column(index)}" for index, each in enumerate(schema.sources)]
    columns.append(f"{cells[schema.label]} AS label")
    return f"SELECT {', '.join(columns)} FROM {lines_sql(table)}"


def lines_sql(table: RemoteTable, whole: bool = True) -> str:
    """Return SQL for the rows of a table; of text for the lines with all cells, or for those without, no comments or blank lines."""
    if not table.is_text:
        return f"`{table.relation}`"
    last = file_column(len(table.kinds) - 1)
    mark = literal(table.comment)
    comment = f" AND NOT STARTS_WITH(IFNULL(p0, ''), {mark})" * bool(table.comment)
    blank = "" if whole else " AND (p1 IS NOT NULL OR IFNULL(p0, '') <> '')"
    return f"`{table.relation}` WHERE {last} IS {'NOT ' * whole}NULL{comment}{blank}"


def arrow_schema(fields: Any) -> Any:
    kinds = [getattr(pyarrow, ARROW[each.field_type])() for each in fields]
    lists = [each.mode == "REPEATED" for each in fields]
    kinds = [pyarrow.list_(kind) if many else kind for kind, many in zip(kinds, lists, strict=True)]
    return pyarrow.schema(list(zip((each.name for each in fields), kinds, strict=True)))


@contextlib.contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn what Google's libraries raise into `UserError`, with the first line that the service says."""
    errors, auth, requests = map(importlib.import_module, RAISING)
    try:
        yield
    except (errors.GoogleAPIError, auth.GoogleAuthError, requests.RequestException) as error:
        reason = str(getattr(error, "message", error)).partition("\n")[0]
        limited = "limit for bytes billed" in reason
        fix = "look at what it reads, then give a larger --most-gb" if limited else LOG_IN
        raise UserError(f"{what}: {reason}", "what Google Cloud accepts", fix) from error
