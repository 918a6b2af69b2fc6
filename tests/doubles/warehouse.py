"""What the double of BigQuery computes with: DuckDB, with sqlglot's translation. It says nothing about BigQuery's own dialect.

`tests/test_dialect.py` runs the statements in Google's own engine.
"""

import csv
import gzip
import importlib
import io
import re
import runpy
import threading
from typing import Any

from tests.bakery import SOURCES
from tests.doubles.server import ApiError, Json
from tests.doubles.storage import StorageService

FUNCTION = re.compile(r"CREATE TEMP FUNCTION (?:(?!;\n).)*;\n", re.DOTALL)
EXPORT = re.compile(r"EXPORT DATA OPTIONS\s*\(([^)]*)\) AS (.*)", re.DOTALL)
OPTION = re.compile(r"(\w+)\s*=\s*(?:'([^']*)'|(\w+))")
LARGEST_STATEMENT_BYTES = 1 << 20
ROWS_PER_FILE = 5_000
KINDS = {
    **{"VARCHAR": "STRING", "DOUBLE": "FLOAT", "FLOAT": "FLOAT", "BOOLEAN": "BOOLEAN"},
    **dict.fromkeys(("BIGINT", "HUGEINT", "INTEGER", "UBIGINT"), "INTEGER"),
    **{"DATE": "DATE", "TIMESTAMP": "DATETIME", "TIMESTAMP WITH TIME ZONE": "TIMESTAMP"},
}
IN_DUCKDB = {"STRING": "VARCHAR", "INTEGER": "BIGINT", "FLOAT": "DOUBLE", "BOOLEAN": "BOOLEAN"}
OBJECT = re.compile("gs://([^/]+)/(.+)")


class Warehouse:
    """The tables of all projects: a project is a database of DuckDB, and a dataset is a schema."""

    def __init__(self, storage: StorageService) -> None:
        self.storage = storage
        self.connection = importlib.import_module("duckdb").connect()
        self.connection.execute("LOAD icu; SET TimeZone = 'UTC'")
        hashing = runpy.run_path(str(SOURCES / "trainer" / "preprocessing" / "farmhash.py"))
        self.connection.create_function("FARM_FINGERPRINT", hashing["farm_fingerprint"])
        self.translate = importlib.import_module("sqlglot").transpile
        self.lock = threading.RLock()

    def create_dataset(self, project: str, dataset: str) -> None:
        attached = self.connection.execute(
            "SELECT database_name FROM duckdb_databases()"
        ).fetchall()
        if (project,) not in attached:
            self.connection.execute(f"ATTACH ':memory:' AS \"{project}\"")
        self.connection.execute(f'CREATE SCHEMA "{project}"."{dataset}"')

    def drop_dataset(self, project: str, dataset: str) -> None:
        self.connection.execute(f'DROP SCHEMA "{project}"."{dataset}" CASCADE')

    def session(self, project: str, dataset: str) -> Any:
        """Return a connection of its own, so that temporary functions end with a job."""
        cursor = self.connection.cursor()
        cursor.execute("SET TimeZone = 'UTC'")
        if dataset:
            cursor.execute(f'USE "{project}"."{dataset}"')
        return cursor

    def translated(self, statement: str) -> str:
        statement = statement.replace("FORMAT('%", "PRINTF('%")  # not known to sqlglot
        return str(self.translate(statement, read="bigquery", write="duckdb")[0])

    def prepared(self, cursor: Any, text: str) -> str:
        """Create the functions that begin a request; return its one statement."""
        if len(text.encode()) > LARGEST_STATEMENT_BYTES:
            raise ApiError(
                400,
                "The query is too large. The maximum standard SQL query length is 1024.00K characters",
            )
        functions = [each[0] for each in FUNCTION.finditer(text)]
        statement = FUNCTION.sub("", text)
        if functions and not re.match(r"SELECT|WITH|\(", statement):
            raise ApiError(501, "The double runs no scripts, only functions before one SELECT")
        for function in functions:
            cursor.execute(self.translated(function.removesuffix(";\n")))
        return statement

    def query(self, cursor: Any, statement: str) -> Any:
        """Return the result of a statement as an Arrow table, None if it has none."""
        try:
            translated = self.translated(statement)
            if is_query(statement):
                return cursor.sql(translated).to_arrow_table()
            return cursor.execute(translated) and None
        except Exception as error:  # of DuckDB or of sqlglot
            raise ApiError(400, f"{error}") from error

    def store(self, project: str, table: Json, rows: Any, disposition: str) -> None:
        """Write rows to a table: at its end, or in the place of all that it holds."""
        name = f'"{project}"."{table["datasetId"]}"."{table["tableId"]}"'
        cursor = self.connection.cursor()
        cursor.register("incoming", rows)
        exists = self.exists(project, table["datasetId"], table["tableId"])
        if exists and disposition == "WRITE_EMPTY":
            raise ApiError(409, f"Already Exists: Table {name}")
        if exists and disposition == "WRITE_APPEND":
            cursor.execute(f"INSERT INTO {name} BY NAME SELECT * FROM incoming")
        else:
            cursor.execute(f"CREATE OR REPLACE TABLE {name} AS SELECT * FROM incoming")

    def exists(self, project: str, dataset: str, table: str) -> bool:
        query = "SELECT 1 FROM information_schema.tables WHERE (table_catalog, table_schema, table_name) = (?, ?, ?)"
        return bool(self.connection.execute(query, [project, dataset, table]).fetchall())

    def describe(self, project: str, dataset: str, table: str) -> Any:
        """Return an Arrow table without rows, with the columns of a table."""
        name = f'"{project}"."{dataset}"."{table}"'
        return self.connection.cursor().sql(f"SELECT * FROM {name} LIMIT 0").to_arrow_table()

    def bytes_of(self, project: str, dataset: str, statement: str) -> int:
        """Return about how many bytes the tables hold that a statement names."""
        total, words = 0, {*re.findall(r"[\w-]+", statement)}
        query = "SELECT database_name, schema_name, table_name, estimated_size FROM duckdb_tables()"
        for database, schema, table, rows in self.connection.execute(query).fetchall():
            near = (database, schema) == (project, dataset) or {database, schema} <= words
            total += 100 * rows if near and table in words else 0
        return total

    def export(self, statement: str, rows: Any, location: str) -> int:
        """Write the rows of EXPORT DATA as Parquet objects; return their number."""
        parquet = importlib.import_module("pyarrow.parquet")
        options = {name: text or word for name, text, word in OPTION.findall(statement)}
        bucket, name = self.object(options.get("uri", ""), location)
        if options.get("format") != "PARQUET":
            raise ApiError(501, "The double exports Parquet alone")
        if name.count("*") != 1:
            raise ApiError(
                400, "Invalid value for option uri: it must be a wildcard URI with one *"
            )
        if options.get("overwrite") != "true" and any(
            each.startswith(name.partition("*")[0]) for each in self.storage.objects.names(bucket)
        ):
            raise ApiError(400, f"Invalid value: {options['uri']} exists; use overwrite=true")
        for number, first in enumerate(range(0, max(1, rows.num_rows), ROWS_PER_FILE)):
            target = io.BytesIO()
            parquet.write_table(rows.slice(first, ROWS_PER_FILE), target)
            file = name.replace("*", f"{number:012}")
            self.storage.objects.write(bucket, file, target.getvalue())
        return int(rows.num_rows)

    def object(self, uri: str, location: str) -> tuple[str, str]:
        """Return bucket and name of an address; raise ApiError for a bucket that is elsewhere than the job."""
        found = OBJECT.fullmatch(uri)
        if not found:
            raise ApiError(400, f"Invalid value for uri: {uri}")
        place = str(self.storage.bucket(found[1])["location"]).upper()
        if place != location.upper() and not near(place, location.upper()):
            raise ApiError(
                400,
                f"Cannot read and write in different locations: source: {location}, destination: {place}",
            )
        return found[1], found[2]

    def load(self, settings: Json, location: str) -> tuple[Any, int, list[Json]]:
        """Return the rows of a load job as an Arrow table, the number of bad records, and what is wrong with the first."""
        contents = []
        for uri in settings["sourceUris"]:
            bucket, pattern = self.object(uri, location)
            if pattern.count("*") > 1:
                raise ApiError(400, f"Invalid source URI {uri}: it has more than one *")
            whole = re.compile(".*".join(map(re.escape, pattern.split("*"))))
            names = [
                each for each in sorted(self.storage.objects.names(bucket)) if whole.fullmatch(each)
            ]
            if not names:
                raise ApiError(404, f"Not found: URI {uri}")
            contents += [self.storage.objects.read(bucket, name) for name in names]
        if settings.get("sourceFormat") == "PARQUET":
            return parquet_rows(contents, settings), 0, []
        return csv_rows(contents, settings)


def is_query(statement: str) -> bool:
    return statement.startswith(("SELECT", "WITH", "("))


def near(place: str, location: str) -> bool:
    """Return whether a region lies in the multi-region of a job."""
    inside = {"US": ("US-",), "EU": ("EUROPE-",)}
    return any(place.startswith(each) for each in inside.get(location, ()))


def parquet_rows(contents: list[bytes], settings: Json) -> Any:
    arrow, parquet = (importlib.import_module(f"pyarrow{name}") for name in ("", ".parquet"))
    rows = arrow.concat_tables([parquet.read_table(io.BytesIO(each)) for each in contents])
    named = [field["name"] for field in settings.get("schema", {}).get("fields", [])]
    if named and named != rows.column_names:
        raise ApiError(400, f"Provided Schema does not match: {named}, {rows.column_names}")
    return rows


def records(content: bytes, settings: Json) -> list[list[str]]:
    """Return the cells of each record of a CSV file, which may be compressed, below its header."""
    plain = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
    text = io.StringIO(plain.decode("utf-8-sig", "replace"), newline="")
    found = [*csv.reader(text, delimiter=settings.get("fieldDelimiter", ","))]
    return found[int(settings.get("skipLeadingRows", 0)) :]


def completed(cells: list[str], width: int, settings: Json) -> list[str | None] | None:
    """Return a record with a cell for each column, None for a bad record."""
    short = len(cells) < width and not settings.get("allowJaggedRows")
    broken = not settings.get("allowQuotedNewlines") and any("\n" in cell for cell in cells)
    if short or broken or len(cells) > width:
        return None
    null = settings.get("nullMarker", "")
    known = [None if cell == null and null else cell for cell in cells]
    return [*known, *[None] * (width - len(cells))]


def csv_rows(contents: list[bytes], settings: Json) -> tuple[Any, int, list[Json]]:
    """Read CSV by the options of a load job. All columns are STRING; without a schema it is refused."""
    arrow, fields = importlib.import_module("pyarrow"), settings["schema"]["fields"]
    if any(field["type"] != "STRING" for field in fields):
        raise ApiError(501, "The double loads CSV as STRING alone")
    if settings.get("quote", '"') != '"' or settings.get("encoding", "UTF-8") != "UTF-8":
        raise ApiError(501, "The double knows neither other quotes nor other encodings")
    read = [
        completed(cells, len(fields), settings)
        for content in contents
        for cells in records(content, settings)
    ]
    rows = [cells for cells in read if cells is not None]
    bad = len(read) - len(rows)
    errors = [{"reason": "invalid", "message": f"Error while reading data: {bad} rows"}] * bool(bad)
    if bad > int(settings.get("maxBadRecords", 0)):
        raise ApiError(400, "CSV processing encountered too many errors, giving up.")
    columns: list[Any] = [*zip(*rows, strict=True)] or [[] for _ in fields]
    table = {
        field["name"]: arrow.array(column, arrow.string())
        for field, column in zip(fields, columns, strict=True)
    }
    return arrow.table(table), bad, errors


def fields_of(rows: Any) -> list[Json]:
    """Return the schema of an Arrow table as BigQuery writes it."""
    types = importlib.import_module("pyarrow").types
    found = []
    for field in rows.schema:
        repeated = types.is_list(field.type)
        kind = field.type.value_type if repeated else field.type
        mode = "REPEATED" if repeated else "NULLABLE"
        found.append({"name": field.name, "type": kind_of(kind, types), "mode": mode})
    return found


def kind_of(kind: Any, types: Any) -> str:
    """Return BigQuery's name for a type of Arrow."""
    for name, matches in (
        ("BOOLEAN", types.is_boolean),
        ("INTEGER", types.is_integer),
        ("INTEGER", types.is_decimal),  # DuckDB's sums of integers
        ("FLOAT", types.is_floating),
        ("DATE", types.is_date),
    ):
        if matches(kind):
            return name
    if types.is_timestamp(kind):
        return "TIMESTAMP" if kind.tz else "DATETIME"
    return "STRING"


def cells_of(rows: Any, first: int, count: int) -> list[Json]:
    """Return rows of an Arrow table as BigQuery writes them."""
    part = rows.slice(first, count).to_pylist()
    return [{"f": [{"v": cell(value)} for value in row.values()]} for row in part]


def cell(value: Any) -> Any:
    if isinstance(value, list):
        return [{"v": cell(each)} for each in value]
    if isinstance(value, bool):
        return str(value).lower()
    return (
        {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(str(value), str(value))
        if value is not None
        else None
    )
