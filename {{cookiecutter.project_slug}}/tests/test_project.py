"""What the launcher reads of this project: job.toml and setup.py."""

from pathlib import Path

from launcher.checks.findings import job_only_findings
from launcher.checks.shipped_files import left_out_findings
from launcher.console import Console
from launcher.packaging.sdist import build_source_distribution
from launcher.project import Project
from launcher.spec.job_file import read_job

ROOT = Path(__file__).resolve().parents[1]


def test_the_job_is_valid() -> None:
    assert job_only_findings(Project(ROOT), read_job(ROOT / "job.toml"), []) == []


def test_the_source_distribution_holds_the_trainer_and_its_requirements(tmp_path: Path) -> None:
    distribution = build_source_distribution(ROOT, tmp_path, Console(quiet=True))
    assert not [*left_out_findings(ROOT, distribution.files)]
    folders = {name.partition("/")[0] for name in distribution.files if "/" in name}
    assert {name for name in folders if not name.endswith(".egg-info")} == {"trainer"}
    assert distribution.declared.keys() >= {"numpy", "pyarrow", "duckdb", "sqlglot"}
    assert not any("duckdb" in line for line in distribution.requirements_of("local"))
    assert any("tensorflow" in line for line in distribution.requirements_of("local"))
