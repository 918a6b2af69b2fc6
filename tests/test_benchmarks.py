"""The benchmark's own arithmetic: what is timed, what counts, and what is called met."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import report, synthetic
from benchmarks.__main__ import main
from benchmarks.accuracy import kept, mean_scores, outcome, rank, score, summaries, summary
from benchmarks.catalogue import TARGETS
from benchmarks.creation import allowed_seconds
from benchmarks.curves import exponents_of
from benchmarks.growth import growth_rows
from benchmarks.measure import BenchmarkFailed, Sample, alternate, last_object, run, spread
from benchmarks.ours.replicas import tf_config
from benchmarks.real import divided
from benchmarks.replicas import all_reduce_seconds, epoch, owned
from benchmarks.report import chart, line
from benchmarks.tables import SOURCES
from benchmarks.targets import Row, faster_rows, metric_row, slower_rows
from benchmarks.workbench import Workbench


def samples(*seconds: float, **report: float) -> list[Sample]:
    """Return one sample per number of seconds, all with the same report."""
    return [Sample(number, 100.0, report) for number in seconds]


def test_variants_take_turns_and_their_first_run_does_not_count() -> None:
    order: list[str] = []

    def variant(name: str) -> Sample:
        order.append(name)
        return Sample(float(len(order)), 0.0, {})

    found = alternate({"a": lambda: variant("a"), "b": lambda: variant("b")}, rounds=2)
    assert order == ["a", "b"] * 3
    assert [sample.seconds for sample in found["b"]] == [4.0, 6.0]


def test_a_slower_program_has_a_ratio_above_one() -> None:
    rows = slower_rows(
        "P9", {"ours": samples(2, 1, 3), "theirs": samples(8, 8, 90)}, {"theirs": 4.0}
    )
    assert [(row.ratio, row.met) for row in rows] == [(None, True), (4.0, True)]
    assert not slower_rows("P9", {"ours": samples(2), "theirs": samples(7)}, {"theirs": 4.0})[1].met


def test_a_faster_program_has_a_ratio_below_one() -> None:
    found = {
        "ours": samples(1, rows_per_second=100.0),
        "kernel": samples(1, rows_per_second=400.0),
    }
    row = faster_rows("P9", found, {"kernel": 0.5})[1]
    assert (row.ratio, row.met) == (0.25, False)


@pytest.mark.parametrize(("ours", "met"), [(0.88, True), (0.8795, True), (0.8785, False)])
def test_accuracy_may_stay_a_thousandth_behind_the_best(ours: float, met: bool) -> None:
    found = {
        "ours": samples(1, metric=ours),
        "one": samples(1, metric=0.88),
        "other": samples(1, metric=0.5),
    }
    assert metric_row("P9", found).met is met


def test_a_missed_target_is_named() -> None:
    assert "MISSED" in line(Row("P9", "theirs", "s", spread([3.0]), 1.5, 2.0))
    assert "MISSED" not in line(Row("P9", "theirs", "s", spread([3.0]), 2.5, 2.0))


def test_the_report_is_the_last_line() -> None:
    assert last_object('{"rows": 1}\nnoise\n{"rows": 2}\n') == {"rows": 2}
    assert last_object("no object") == last_object("") == {}


def test_a_program_that_fails_ends_the_benchmark_with_its_last_lines(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkFailed, match=r"(?s)said before.*ended with exit code 3"):
        run([sys.executable, "-c", "print('said before'); raise SystemExit(3)"], tmp_path)


def test_the_chart_is_valid_and_shows_whole_jobs_only() -> None:
    shown = Row("P2", "a < b", "s", spread([3.0]), 1.5, 2.0, 0.9)
    hidden = Row("P2", "step", "rows/s", spread([3.0]))
    rows = [
        {
            "target": row.target,
            "name": row.name,
            "unit": row.unit,
            "metric": row.metric,
            "measured": {"median": row.measured.median},
        }
        for row in (shown, hidden)
    ]
    text = "".join(ElementTree.fromstring(chart({"P2": {"rows": rows}})).itertext())
    assert "a < b" in text
    assert "step" not in text


def test_the_chart_shows_the_mean_scores_of_programs_that_ran_on_all_tables() -> None:
    two = results(ours=[1.0, 1.0], theirs=[2.0, 2.1])
    rows = mean_scores("closing", {"a": two | results(others=[1.0]), "b": two, "c": two})
    assert [(row.name, row.measured.median) for row in rows] == [("ours", 1.0), ("theirs", 0.0)]
    shown = {"closing": {"rows": [asdict(row) for row in rows]}}
    text = "".join(ElementTree.fromstring(chart(shown)).itertext())
    assert "closing: mean score on real tables" in text and {"ours", "1.00"} <= {*text.split()}


def test_a_table_is_the_same_each_time_and_its_parts_differ(tmp_path: Path) -> None:
    for name, part in (("one", 0), ("same", 0), ("other", 1)):
        synthetic.write_table(tmp_path / name, 50, part)
    one, same, other = (
        (tmp_path / name).read_text().splitlines() for name in ("one", "same", "other")
    )
    assert one == same
    assert not set(one[1:]) & set(other[1:])


def test_an_unknown_target_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["P99"])
    assert "unknown target P99" in capsys.readouterr().err
    assert {"P1", "P2", "P3", "P4", "P5", "P8"} <= set(TARGETS)


def test_a_single_round_is_a_trial_without_a_run_that_does_not_count() -> None:
    assert [sample.seconds for sample in alternate({"a": lambda: samples(3)[0]}, 1)["a"]] == [3]


@pytest.mark.parametrize(("large", "met"), [(109.0, True), (111.0, False)])
def test_memory_is_flat_if_it_grows_by_less_than_a_tenth(large: float, met: bool) -> None:
    rows = growth_rows(
        "P9", {"small": spread([100.0, 99.0, 101.0]), "large": spread([large])}, 1 / 1.1
    )
    assert [row.met for row in rows] == [True, met]


def test_a_smoke_test_may_take_half_as_long_again_as_the_import_and_two_seconds() -> None:
    assert allowed_seconds(bake=1.0, tensorflow=2.0) == 6.0


def test_a_fifth_of_a_real_table_is_for_the_test_and_always_the_same_one() -> None:
    rows = [{"number": str(number)} for number in range(100)]
    train, test = divided(rows)
    assert (len(train), len(test)) == (80, 20)
    assert sorted(train + test, key=rows.index) == rows
    assert divided(rows) == (train, test) != (rows[:80], rows[80:])


def test_two_replicas_are_a_chief_and_a_worker_of_the_same_cluster() -> None:
    chief, worker = (json.loads(tf_config(["a:1", "b:2"], index)) for index in (0, 1))
    assert chief["cluster"] == worker["cluster"] == {"chief": ["a:1"], "worker": ["b:2"]}
    assert (chief["task"]["type"], worker["task"]) == ("chief", {"type": "worker", "index": 0})


def test_a_simulated_epoch_takes_what_its_parts_take() -> None:
    alone = epoch(1, row_seconds=1e-6, batch_size=8_192, groups=100)
    assert alone.hours == pytest.approx(9e9 * 1e-6 / 3600 * 1.1, rel=0.05) and not alone.waiting
    many = epoch(100, 1e-6, 65_536, 400)
    steps = 9e9 / 65_536
    least = (9e9 / 100 * 1e-6 + steps * all_reduce_seconds(100)) / 3600
    assert least < many.hours < 1.8 * least  # the slowest of a hundred sets the pace
    assert all(owned(groups, 7).sum() == groups for groups in (1, 7, 20))
    wasteful = epoch(100, 1e-6, 65_536, 400, read_all=True)
    assert wasteful.waiting > 0.5 and wasteful.terabytes_read == 100 * many.terabytes_read


def test_a_target_that_is_run_again_replaces_its_own_results_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr(report, "CHART", tmp_path / "chart.svg")
    for target, seconds in (("P1", 3.0), ("P2", 5.0), ("P1", 4.0)):
        row = Row(target, "theirs", "s", spread([seconds]), 1.5, 2.0, 0.9)
        report.keep(target, [row], 5, {"keras": ["keras 3"]})
    results = json.loads((tmp_path / "results.json").read_text())
    found = {target: kept["rows"][0]["measured"]["values"] for target, kept in results.items()}
    assert found == {"P1": [4.0], "P2": [5.0]}
    assert (results["P1"]["rounds"], results["P1"]["rows"][0]["met"]) == (5, False)
    assert (tmp_path / "chart.svg").read_text().count("to exported model") == 2


def test_an_exponent_describes_how_a_figure_grows() -> None:
    found = exponents_of({10: 3.0, 100: 30.0, 10_000: 30.0})
    assert found == {100: pytest.approx(1.0), 10_000: pytest.approx(0.0)}


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [([1.1, 1.2, 1.1], 1), ([0.9, 0.8, 0.9], -1), ([0.5, 1.5, 1.1], 0), ([1.0, 1.0, 1.0], 0)],
)
def test_a_win_is_beyond_the_noise_of_the_splits(theirs: list[float], expected: int) -> None:
    assert outcome([1.0, 1.0, 1.0], theirs) == expected


def test_the_least_error_has_the_score_1_and_the_rank_1() -> None:
    errors = {"ours": [2.0, 2.0], "theirs": [1.0, 1.0], "others": [1.5, 2.5]}
    assert score(errors) == {"ours": 0.0, "theirs": 1.0, "others": 0.0}
    assert rank(errors) == {"ours": 2.5, "theirs": 1.0, "others": 2.5}


def results(**errors: list[float]) -> dict[str, list[dict[str, float]]]:
    return {k: [{"error": one, "seconds": 5.0} for one in each] for k, each in errors.items()}


def test_the_summary_counts_our_wins_and_losses_against_each_program() -> None:
    won = results(ours=[1.0, 1.0], theirs=[2.0, 2.1])
    lost = results(ours=[1.0, 1.0], theirs=[0.5, 0.6])
    found = summary({"a": won, "b": lost, "c": won}, ["ours", "theirs"])
    assert [one.split() for one in found[2:]] == [
        ["ours", "0.67", "1.33", "0", "0", "5.0"],
        ["theirs", "0.33", "1.67", "2", "1", "5.0"],
    ]


def test_programs_that_ran_on_some_tables_are_compared_over_those() -> None:
    all_of_them = results(ours=[1.0, 1.0], theirs=[2.0, 2.1], others=[3.0, 3.0])
    two = {name: all_of_them[name] for name in ("ours", "theirs")}
    found = list(summaries({"small": all_of_them, "large": two}))
    assert [(lines[0].strip(), len(lines) - 2) for lines in found] == [
        ("2 tables", 2),
        ("1 tables", 3),
    ]


def test_a_result_of_the_same_code_is_kept_and_of_other_code_computed_anew(tmp_path: Path) -> None:
    bench, computed = Workbench(tmp_path, quick=False, rounds=1), iter(range(9))
    found = [kept(bench, "a", code, lambda: next(computed)) for code in ("x", "x", "y", "x")]
    assert found == [0, 0, 1, 2]
    assert kept(bench, "b", "x", lambda: next(computed)) == 3


def test_a_third_of_the_real_tables_and_of_the_regressions_decides_nothing() -> None:
    closing = [source for source in SOURCES if source.closing]
    assert (len(SOURCES), len(closing)) == (24, 8)
    regressions = [source.closing for source in SOURCES if source.task == "regression"]
    assert (len(regressions), sum(regressions)) == (12, 4)
    assert len({source.name for source in SOURCES}) == len(SOURCES)
