"""The launcher and the trainer agree about names, exit codes and waits, though neither imports the other."""

import runpy
from importlib.util import find_spec
from pathlib import Path

import pytest
from launcher import contract
from trainer.data import files
from trainer.preprocessing import provenance
from trainer.run import errors, outputs

from tests.bakery import SOURCES


def test_file_names_mount_and_exit_codes_are_the_trainer_s() -> None:
    assert (contract.STATISTICS, contract.EXAMPLES) == (files.STATISTICS, files.EXAMPLES)
    assert contract.SOURCE == files.SOURCE
    assert contract.PREPARED_WITH == provenance.LIBRARIES
    job = outputs.outputs_of("job", {})
    assert (job.metrics.name, job.config.name) == (contract.METRICS, contract.CONFIG)
    assert contract.EVALUATION == outputs.EVALUATION
    assert contract.ROW_LOSSES == outputs.ROW_LOSSES
    assert contract.MOUNT == outputs.BUCKET_MOUNT
    assert contract.EXIT_USER_ERROR == errors.EXIT_USER_ERROR
    assert contract.EXIT_INTERRUPTED == errors.EXIT_INTERRUPTED


def test_the_trainer_reads_the_variables_that_the_launcher_sets(tmp_path: Path) -> None:
    set_here = {name: f"gs://b/{name}" for name in contract.OUTPUT_VARIABLES}
    read = outputs.outputs_of(None, {**set_here, contract.MOUNT_VARIABLE: str(tmp_path)})
    assert {folder: getattr(read, folder) for folder in contract.OUTPUT_VARIABLES.values()} == {
        folder: tmp_path / "b" / name for name, folder in contract.OUTPUT_VARIABLES.items()
    }


@pytest.mark.parametrize(
    "module",
    [
        contract.TASK_MODULE,
        contract.PREPARE_MODULE,
        contract.PREDICT_MODULE,
        contract.EVALUATE_MODULE,
        contract.MONITOR_MODULE,
    ],
)
def test_the_modules_that_the_launcher_starts_exist(module: str) -> None:
    assert find_spec(module)


def test_each_wait_is_longer_than_the_one_inside_it() -> None:
    assert contract.STOP_SECONDS > contract.TRIAL_SECONDS > contract.GRACE_SECONDS
    assert runpy.run_path(str(SOURCES / "noxfile.py"))["STOP_SECONDS"] == contract.STOP_SECONDS
