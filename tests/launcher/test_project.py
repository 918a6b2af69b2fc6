"""The project's folder and what its commands share."""

import dataclasses
from pathlib import Path

import pytest
from launcher.console import UserError
from launcher.packaging.sdist import build_source_distribution
from launcher.project import Project

from tests.launcher.samples import DATA, QUIET, write_files


@pytest.mark.parametrize("folder", ["my_model", "src/trainer", "Trainer", "trainer_v2"])
def test_a_package_that_was_renamed_is_named(folder: str, tmp_path: Path) -> None:
    files = {f"{folder}/features.py": "", ".nox/x/trainer/features.py": "", "setup.py": "x"}
    write_files(tmp_path, files)
    with pytest.raises(UserError, match=f"no folder trainer/; .* rename {folder}/ to trainer/"):
        build_source_distribution(tmp_path, tmp_path / "packages", QUIET)


def test_a_package_that_is_gone_is_to_be_restored(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no folder trainer/; expected .*; restore it"):
        build_source_distribution(tmp_path, tmp_path / "packages", QUIET)


def test_the_split_of_job_toml_is_that_of_preparation() -> None:
    project = Project(Path("/project"))
    by_time = dataclasses.replace(DATA, split="time:signed up")
    for data, split in ((DATA, "random"), (by_time, "time:signed up")):
        flags = project.preparation_flags(data)
        assert flags[flags.index("--split") + 1] == split
        assert not any("--weight" in flag for flag in flags)
    weighted = dataclasses.replace(DATA, weight="-w 1")
    assert "--weight=-w 1" in project.preparation_flags(weighted)
