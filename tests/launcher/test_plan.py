"""`nox -s plan`: straight lines through measurements, and what follows from them."""

import dataclasses
import re
from pathlib import Path

import pytest
from launcher.__main__ import main
from launcher.commands import plan as command
from launcher.commands.plan import Line, Plan, count, fitted, limits, size, span
from launcher.commands.session import Session

from tests.launcher.samples import JOB, write_files

PLAN = Plan(
    table={
        "table_bytes": 4_000_000_000,
        "text_bytes": 8_000_000_000,
        "share": 0.01,
        "rows": 100_000_000,
        "train_rows": 90_000_000,
        "shard_bytes_per_row": 20.0,
        "array_bytes_per_row": 64,
        "window_rows": 16_580_608,
        "settings": {
            "quality": "default",
            "epochs": 2,
            "batch_size": 1024,
            "ensemble": 8,
            "max_steps": None,
            "memory_mb": 2048,
        },
    },
    prepare=Line(1.0, 1e-5, 0.04),
    start_seconds=5.0,
    step_error=0.03,
    step=Line(0.002, 8e-6, 0.0),
    weight_bytes=400_000,
    memory_mb=700.0,
)


def test_a_line_fits_its_measurements_and_states_its_error() -> None:
    exact = fitted([(100, 2.0), (200, 3.0), (400, 5.0)])
    assert (exact.fixed, exact.each) == pytest.approx((1.0, 0.01))
    assert exact.error == pytest.approx(0.0, abs=1e-9) and exact.at(1000) == pytest.approx(11.0)
    assert fitted([(100, 2.0), (200, 3.0), (400, 4.0)]).error > 0.05
    # Noise never makes work free, and one size alone gives no slope.
    assert fitted([(100, 3.0), (200, 2.0)]).each > 0
    assert fitted([(5, 1.0), (5, 3.0)]) == Line(2.0, 0.0, 0.0)


def test_replicas_share_the_rows_of_a_step_and_pay_for_the_exchange() -> None:
    alone = PLAN.step_seconds(1, 1)
    assert alone == pytest.approx(0.002 + 8e-6 * 1024)
    assert PLAN.step_seconds(4, 1) == pytest.approx(0.002 + 8e-6 * 256)
    assert PLAN.exchange_seconds(1) == 0
    # 2 of 2 hops with half of the weights each.
    assert PLAN.exchange_seconds(2) == pytest.approx(2 * (200_000 / 1e9 + 1e-4))
    assert PLAN.step_seconds(1, 2) < alone
    assert PLAN.steps == 2 * 87_891
    dear = dataclasses.replace(PLAN, weight_bytes=4_000_000_000)
    found = dict(limits(dear, 10**12))
    assert found["replicas"].startswith("beyond 1,")


def test_limits_follow_from_what_was_measured() -> None:
    found = dict(limits(PLAN, 10**12))
    assert found["disk"] == "1 TB free: enough for 10 billion rows"
    assert found["prepare"] == "takes an hour here from 360 million rows on"
    assert found["memory"] == "beyond 17 million rows an epoch is shuffled in windows"


def test_the_plan_is_a_table_of_this_machine_and_of_each_tier_of_cpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(write_files(tmp_path, {"job.toml": JOB}))
    monkeypatch.setattr(Session, "check", lambda _: [])
    monkeypatch.setattr(command, "measured", lambda *_: PLAN)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert main(["plan"]) == 0
    printed = capsys.readouterr().out
    assert "table     4 GB, about 100 million rows; estimated from 1.0% of it\n" in printed
    assert "prepare   17 min here; error of the fit 4%\n" in printed
    assert "175,782 steps in 2 epochs, batches of 1,024 rows, 8 members\n" in printed
    lines = {line.split()[0]: line for line in printed.splitlines() if line}
    assert lines["here"].split()[1:] == ["2", "cores", "10.2", "ms", "30", "min", "±", "3%"]
    assert "4 n1-standard-8" in lines["STANDARD_1"] and "BASIC_GPU" in lines["unknown"]
    assert not (tmp_path / ".nox/samples").exists()


@pytest.mark.parametrize(
    ("pool", "error"),
    [
        (
            'machine = "large"',
            "scale tier OWN, chief: training does not accept the machine 'large'",
        ),
        (
            'machine = "n1-standard-4"\nreplicas = 0',
            "scale tier OWN, chief: replicas is 0; expected",
        ),
    ],
)
def test_a_tier_without_machines_that_exist_has_no_plan(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    pool: str,
    error: str,
) -> None:
    monkeypatch.chdir(write_files(tmp_path, {"job.toml": f"{JOB}\n[tiers.OWN.chief]\n{pool}\n"}))
    monkeypatch.setattr(Session, "check", lambda _: [])
    monkeypatch.setattr(command, "measured", lambda *_: PLAN)
    assert main(["plan"]) == 2
    assert error in capsys.readouterr().err


def test_a_table_in_bigquery_has_no_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    job = re.sub('train = ".*"', 'train = "bq://project.dataset.table"', JOB)
    monkeypatch.chdir(write_files(tmp_path, {"job.toml": job}))
    assert main(["plan"]) == 2
    printed = capsys.readouterr().err
    assert "train is bq://project.dataset.table; expected files, because a plan is" in printed


@pytest.mark.parametrize(
    ("number", "text"),
    [(999, "1,000"), (12, "12"), (123_456, "120 thousand"), (2_600_000_000, "2.6 billion")],
)
def test_numbers_are_rounded_to_what_is_known(number: float, text: str) -> None:
    assert count(number) == text


def test_sizes_and_times_have_units() -> None:
    assert [size(5), size(1.5e6), size(2e12)] == ["5 B", "1.5 MB", "2 TB"]
    assert [span(3.14), span(600), span(90_000)] == ["3.1 s", "10 min", "25.0 h"]
