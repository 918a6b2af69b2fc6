"""Whatever job.toml says, the CustomJob parses as Google's own type, and is complete."""

import importlib
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from launcher.spec.custom_job import Run, arguments_of, custom_job_of, variables_of
from launcher.spec.job_file import read_job

pytestmark = pytest.mark.minute

TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=20)
NAME = st.from_regex("[a-z][a-z0-9]{0,8}(_[a-z0-9]{1,8})?", fullmatch=True)
VALUE = TEXT | st.integers(-(2**40), 2**40) | st.booleans() | st.floats(-1e9, 1e9)
TIERS = ("BASIC", "STANDARD_1", "PREMIUM_1", "BASIC_GPU", "BASIC_TPU", "L4_X4", "H200", "MINE")
POOLS = st.fixed_dictionaries(
    {"chief": st.just(1)},
    optional={name: st.integers(1, 40) for name in ("worker", "parameter_server", "evaluator")},
)
JOBS = st.fixed_dictionaries(
    {
        "scale_tier": st.sampled_from(TIERS),
        "kind": st.sampled_from(["auto", "stock", "image", "executor"]),
        "strategy": st.sampled_from(["standard", "spot", "flex_start"]),
        "hours": st.integers(1, 168),
        "arguments": st.dictionaries(NAME, VALUE, max_size=5),
        "labels": st.dictionaries(NAME, NAME, max_size=5),
        "environment": st.dictionaries(NAME, TEXT, max_size=5),
        "pools": POOLS,
    }
)


def toml_of(drawn: dict[str, Any]) -> str:
    sections = {
        "job": {"project": "some-project", "region": "us-central1", "bucket": "a-bucket-1"}
        | {"scale_tier": drawn["scale_tier"]},
        "runtime": {"kind": drawn["kind"], "image": "a.example/image:1"},
        "scheduling": {"strategy": drawn["strategy"], "timeout": f"{drawn['hours']}h"},
        "data": {"train": "t.csv", "eval_share": 0.1, "max_rejected_share": 0.0, "prepared": "p"},
        "arguments": drawn["arguments"],
        "labels": drawn["labels"],
        "environment": drawn["environment"],
        **{
            f"tiers.MINE.{pool}": {"machine": "n1-standard-8", "replicas": count}
            for pool, count in drawn["pools"].items()
        },
    }
    return "\n".join(
        line
        for name, values in sections.items()
        for line in (
            f"[{name}]",
            *(f"{key} = {toml_value(value)}" for key, value in values.items()),
        )
    )


def toml_value(value: Any) -> str:
    """Return a scalar as TOML, which writes text as JSON does but for DEL and numbers as Python does."""
    return repr(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


@given(drawn=JOBS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_job_is_valid_for_google_and_complete(
    drawn: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    job_file = tmp_path_factory.getbasetemp() / "job.toml"
    types = importlib.import_module("google.cloud.aiplatform_v1.types")
    json_format = importlib.import_module("google.protobuf.json_format")
    job_file.write_text(toml_of(drawn), encoding="utf-8")
    job = read_job(job_file)
    run = Run("a-run", "gs://b/p.tar.gz", "0" * 64, "gs://b/data", ("--last", "1"))
    custom_job = custom_job_of(job, run)
    parsed = json_format.ParseDict(custom_job, types.CustomJob.pb(types.CustomJob()))
    back = json_format.MessageToDict(parsed)
    assert back["labels"] == {**drawn["labels"], "run": "a-run"}
    assert back["jobSpec"]["scheduling"]["timeout"] == f"{drawn['hours'] * 3600}s"
    pools = [pool for pool in back["jobSpec"]["workerPoolSpecs"] if pool]
    assert [int(pool["replicaCount"]) for pool in pools] == [
        pool.replicas for pool in job.tier().values()
    ]
    for pool in pools:
        flags = arguments_of(pool)
        assert flags[:2] == ["--data-dir", "gs://b/data"] and flags[-2:] == ["--last", "1"]
        given_flags = sum(value is not False for value in drawn["arguments"].values())
        values = sum(not isinstance(value, bool) for value in drawn["arguments"].values())
        assert len(flags) == 4 + given_flags + values
        assert variables_of(pool) == drawn["environment"]
