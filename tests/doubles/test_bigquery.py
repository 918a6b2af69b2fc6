"""The double of BigQuery, with Google's own client."""

import importlib
import io
from typing import Any

import pytest

from tests.doubles import Doubles
from tests.doubles.clients import anonymous, api_error
from tests.doubles.examples import BUCKET, REGION
from tests.doubles.faults import ANSWER_LOST, UNAVAILABLE

pytestmark = pytest.mark.minute
bigquery: Any = pytest.importorskip("google.cloud.bigquery")
pytest.importorskip("duckdb")
pytest.importorskip("sqlglot")


@pytest.fixture
def client(cloud: Doubles) -> Any:
    """The client, and the dataset `d` in the region of the bucket."""
    client = bigquery.Client(project="penguins", credentials=anonymous(), location=REGION)
    dataset = bigquery.Dataset("penguins.d")
    dataset.location, dataset.default_table_expiration_ms = REGION, 3_600_000
    client.create_dataset(dataset)
    return client


def query(client: Any, text: str, **settings: Any) -> Any:
    name, settings = settings.pop("job_id", None), {"default_dataset": "penguins.d", **settings}
    config = bigquery.QueryJobConfig(**settings)
    return client.query(text, config, job_id=name, **({"job_retry": None} if name else {}))


def rows(job: Any) -> list[tuple[Any, ...]]:
    return [row.values() for row in job.result()]


def load(client: Any, cloud: Doubles, content: str, **settings: Any) -> Any:
    cloud.storage.objects.write(BUCKET, "in/a.csv", content.encode())
    fields = [bigquery.SchemaField(name, "STRING") for name in ("a", "b")]
    config = bigquery.LoadJobConfig(source_format="CSV", schema=fields, **settings)
    job = client.load_table_from_uri(f"gs://{BUCKET}/in/*.csv", "penguins.d.t", job_config=config)
    return job.result()


def test_rows_of_a_query_come_in_pages_with_their_types(client: Any) -> None:
    text = "SELECT x, x / 2 AS y, CAST(x AS STRING) AS z, x > 1 AS b, CAST(NULL AS STRING) AS n, ['a', 'b'] AS l"
    found = rows(query(client, f"{text} FROM UNNEST(GENERATE_ARRAY(1, 2500)) AS x ORDER BY x"))
    assert len(found) == 2500
    assert found[0] == (1, 0.5, "1", False, None, ["a", "b"])
    assert found[-1][0] == 2500


def test_functions_end_with_the_job_and_a_script_is_refused(client: Any) -> None:
    function = "CREATE TEMP FUNCTION twice(x INT64) AS (2 * x);\n"
    assert rows(query(client, f"{function}SELECT twice(3)")) == [(6,)]
    with pytest.raises(api_error("BadRequest"), match="twice"):
        rows(query(client, "SELECT twice(3)"))
    with pytest.raises(api_error("MethodNotImplemented")):
        query(client, f"{function}CREATE TABLE x AS SELECT twice(3)")


def test_results_are_written_appended_and_changed(client: Any) -> None:
    target = {"destination": "penguins.d.t"}
    for how in ("WRITE_TRUNCATE", "WRITE_APPEND", "WRITE_APPEND"):
        query(client, "SELECT 1 AS a", **target, write_disposition=how).result()
    query(client, "UPDATE t SET a = 5 WHERE TRUE").result()
    assert rows(query(client, "SELECT a FROM t")) == [(5,)] * 3
    assert [field.name for field in client.get_table("penguins.d.t").schema] == ["a"]
    client.delete_dataset("penguins.d", delete_contents=True)
    with pytest.raises(api_error("NotFound")):
        client.get_table("penguins.d.t")


def test_a_job_that_is_repeated_is_refused_and_its_answer_may_be_lost(
    client: Any, cloud: Doubles
) -> None:
    query(client, "SELECT 1", job_id="one").result()
    with pytest.raises(api_error("Conflict")):
        query(client, "SELECT 1", job_id="one")
    cloud.faults.plan("POST", "/jobs", ANSWER_LOST)
    cloud.faults.plan("GET", "/queries/", UNAVAILABLE)
    with pytest.raises(api_error("Conflict")):  # the client repeats the request by itself
        query(client, "SELECT 2", job_id="two")
    assert rows(client.get_job("two")) == [(2,)]


def test_csv_is_loaded_by_the_options(client: Any, cloud: Doubles) -> None:
    text = 'a,b\n1,"x\ny"\n,2\n#,c\n1,2,3\nalone\n'
    with pytest.raises(api_error("BadRequest"), match="too many errors"):
        load(client, cloud, text)
    settings = {
        **{"skip_leading_rows": 1, "allow_quoted_newlines": True, "allow_jagged_rows": True},
        **{"max_bad_records": 5, "null_marker": "\x1f"},
    }
    job = load(client, cloud, text, **settings)
    assert job.output_rows == 4 and job._job_statistics()["badRecords"] == "1"
    found = rows(query(client, "SELECT a, b FROM t ORDER BY a"))
    assert found == [("", "2"), ("#", "c"), ("1", "x\ny"), ("alone", None)]


def test_a_dry_run_counts_bytes_and_a_limit_refuses(client: Any) -> None:
    query(client, "SELECT 1 AS a", destination="penguins.d.t").result()
    dry = query(client, "SELECT a FROM t", dry_run=True)
    assert dry.total_bytes_processed == 100
    assert [field.name for field in dry.schema] == ["a"]
    with pytest.raises(api_error("BadRequest"), match="limit for bytes billed"):
        rows(query(client, "SELECT a FROM t", maximum_bytes_billed=99))
    assert rows(query(client, "SELECT a FROM t", maximum_bytes_billed=100)) == [(1,)]


def test_an_export_keeps_the_order_over_files(client: Any, cloud: Doubles) -> None:
    selected = "SELECT x FROM UNNEST(GENERATE_ARRAY(1, 12000)) AS x ORDER BY x DESC"
    option = f"uri='gs://{BUCKET}/out/*.parquet', format='PARQUET', overwrite=true"
    query(client, f"EXPORT DATA OPTIONS({option}) AS {selected}").result()
    names = sorted(name for name in cloud.storage.objects.names(BUCKET) if name.startswith("out/"))
    parquet = importlib.import_module("pyarrow.parquet")
    read = [
        parquet.read_table(io.BytesIO(cloud.storage.objects.read(BUCKET, each))) for each in names
    ]
    assert len(names) == 3
    assert [x for each in read for x in each["x"].to_pylist()] == [*range(12000, 0, -1)]
    with pytest.raises(api_error("BadRequest"), match="wildcard"):
        query(client, f"EXPORT DATA OPTIONS({option.replace('*', '0')}) AS {selected}").result()


@pytest.mark.parametrize("bucket", ["far-away", "everywhere"])
def test_a_bucket_elsewhere_is_refused(client: Any, cloud: Doubles, bucket: str) -> None:
    option = f"uri='gs://{bucket}/out/*.parquet', format='PARQUET'"
    with pytest.raises(api_error("BadRequest"), match="different locations"):
        query(client, f"EXPORT DATA OPTIONS({option}) AS SELECT 1 AS x").result()


def test_a_statement_above_one_megabyte_is_refused(client: Any) -> None:
    with pytest.raises(api_error("BadRequest"), match="too large"):
        query(client, f"SELECT '{'x' * (1 << 20)}'").result()


def test_a_dataset_elsewhere_is_not_found(client: Any) -> None:
    elsewhere = bigquery.Client(project="penguins", credentials=anonymous(), location="US")
    with pytest.raises(api_error("NotFound"), match="location"):
        query(elsewhere, "SELECT 1").result()
