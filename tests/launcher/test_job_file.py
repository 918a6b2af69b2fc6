"""job.toml as it is read: types, defaults, and what is refused."""

import re
from pathlib import Path

import pytest
from launcher.console import UserError
from launcher.spec.job_file import argument_flags, read_job

from tests.launcher.samples import write_files

JOB = """
[job]
project = "some-project"
region = "us-central1"
bucket = "some-bucket"
scale_tier = "BASIC"

[data]
train = "table.csv"
eval_share = 0.1
max_rejected_share = 0
prepared = "data/prepared"

[arguments]
epochs = 3
learning_rate = 0.01
fast = true
slow = false
hidden-units = "64,32"
"""


def test_a_job_is_read_with_its_types_and_its_arguments_become_flags(tmp_path: Path) -> None:
    job = read_job(write_files(tmp_path, {"job.toml": JOB}) / "job.toml")
    assert (job.cloud.region, job.cloud.scale_tier) == ("us-central1", "BASIC")
    assert (job.data.test, job.data.max_rejected_share, job.data.deduplicate) == ("", 0.0, False)
    assert (job.data.split, job.data.weight) == ("random", "")
    expected = "--epochs 3 --learning-rate 0.01 --fast --hidden-units 64,32"
    assert argument_flags(job.arguments) == expected.split()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs = 3", "epochs = three", "job.toml: Invalid value (at line 15, column 10)"),
        ("region =", "regoin =", "job.toml [job]: unknown key 'regoin'; expected one of project,"),
        ("region =", "regoin =", "write region instead"),
        ("[data]", "[date]", "job.toml: unknown section 'date'; expected one of job, data"),
        ('train = "table.csv"', "", "job.toml [data]: the key train is missing"),
        ("= 0.1", '= "0.1"', "job.toml [data] eval_share is '0.1'; expected a number"),
        ("= 0.1", "= true", "job.toml [data] eval_share is True; expected a number"),
        ("= 0.1", f"= {10**400}", "job.toml [data] eval_share is 1000000000"),
        ("= 0.1", "= 1" + "0" * 5000, "write shorter numbers"),
        ("= 0.1", f"= {'[' * 5000}{']' * 5000}", "fewer lists in lists"),
        ("= 0.1", "= 1.5", "job.toml [data] eval_share is 1.5; expected a share above 0"),
        ("= 0.1", '= 0.1\nsplit = ["time"]', "job.toml [data] split is ['time']; expected text in"),
        ("= 0.1", "= 0.0", "job.toml [data] eval_share is 0.0; expected a share above 0"),
        ('"some-bucket"', '""', "job.toml [job] bucket is empty; expected text in quotes"),
        ("fast =", "Fast =", "job.toml [arguments] Fast is not a valid flag name"),
        ("fast =", "job_dir =", "job.toml [arguments] job_dir is set by the launcher"),
        ("fast = true", "fast = [1]", "job.toml [arguments] fast is [1]; expected text, a number"),
    ],
)
def test_an_invalid_job_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in JOB
    write_files(tmp_path, {"job.toml": JOB.replace(old, new, 1)})
    with pytest.raises(UserError, match=re.escape(message)):
        read_job(tmp_path / "job.toml")


@pytest.mark.parametrize(
    ("old", "new", "remedy"),
    [
        ("fast = true", "fast = true\nepochs = 4", "epochs is in line 15 too"),
        ("[arguments]", "[job]\n[arguments]", "[job] is in line 2 too: remove one of the two"),
        ('"table.csv"', '"data\\table.csv"', "write / for \\ in a path"),
        ('"table.csv"', '"C:\\Users\\t.csv"', "write / for \\ in a path"),
        ('"table.csv"', "\u201ctable.csv\u201d", "replace '\u201c' by a plain quote"),
        ("[data]", "<<<<<<< ours\n[data]", "resolve the conflict"),
        ("epochs = 3", "epochs: 3", "write name = value"),
        ("epochs = 3", 'epochs = """3', "close the quote or the bracket"),
        ('"some-bucket"', '"some-bucket "', "write 'some-bucket'"),
    ],
)
def test_the_remedy_is_that_of_the_mistake(tmp_path: Path, old: str, new: str, remedy: str) -> None:
    assert old in JOB
    write_files(tmp_path, {"job.toml": JOB.replace(old, new, 1)})
    with pytest.raises(UserError, match=re.escape(remedy)):
        read_job(tmp_path / "job.toml")


@pytest.mark.parametrize(
    ("pool", "right"), [("master", "chief"), ("Master", "chief"), ("ps", "parameter_server")]
)
def test_a_pool_of_another_tool_s_name_gets_its_name_here(
    tmp_path: Path, pool: str, right: str
) -> None:
    tier = f'[tiers.MINE.{pool}]\nmachine = "n1-standard-4"\n'
    write_files(tmp_path, {"job.toml": JOB + tier})
    with pytest.raises(UserError, match=f"unknown pool '{pool}'.*write {right} instead"):
        read_job(tmp_path / "job.toml")


def test_a_byte_order_mark_and_tabs_between_words_are_accepted(tmp_path: Path) -> None:
    write_files(tmp_path, {"job.toml": "\ufeff" + JOB.replace(" = ", "\t=\t")})
    assert read_job(tmp_path / "job.toml").cloud.region == "us-central1"


def test_a_missing_job_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"job\.toml cannot be read"):
        read_job(tmp_path / "job.toml")
