"""Every answer but the table: what is accepted, and the one line that refuses the rest."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cookiecutter.exceptions import FailedHookException
from hypothesis import given, settings
from hypothesis import strategies as st

from cmle_extension.cloud import (
    checked_bucket,
    checked_gcp_project,
    checked_region,
    checked_scale_tier,
    suggested_bucket,
    training_regions,
)
from cmle_extension.names import (
    checked_project_name,
    checked_slug,
    checked_smoke_test,
    suggested_slug,
)
from cmle_extension.refusal import nearest, shown
from cmle_extension.text import checked_text
from tests.refused import refused

CHECKS: dict[str, Callable[[Any], str]] = {
    "project_name": checked_project_name,
    "project_slug": checked_slug,
    "gcp_project": checked_gcp_project,
    "region": checked_region,
    "bucket": checked_bucket,
    "scale_tier": lambda value: checked_scale_tier(value, "us-central1"),
    "smoke_test": checked_smoke_test,
}
ANY_TEXT = st.text(max_size=40)
quick = settings(max_examples=60, deadline=None)


@pytest.mark.parametrize("prompt", CHECKS)
@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "is None; expected text"),
        (True, "is True; expected text"),
        ("a\nb", r"'a\nb' contains a control character"),
        ("a\0", r"'a\x00' contains a control character"),
        ("\x7fa", r"'\x7fa' contains a control character"),
        ("a\u202eb", r"'a\u202eb' contains a control character"),
        ("a\u2028b", r"'a\u2028b' contains a control character"),
        ("\udce9", r"'\udce9' contains a control character"),
        ("{{ 7*7 }}", "'{{ 7*7 }}' would be evaluated as a template"),
        ("a{% b", "would be evaluated as a template"),
        ("{#a", "would be evaluated as a template"),
        (" #% set a = 1", "would be evaluated as a template"),
    ],
)
def test_no_answer_takes_what_is_not_plain_text(prompt: str, value: object, words: str) -> None:
    assert words in refused(lambda: CHECKS[prompt](value), f"{prompt}: the value")


@pytest.mark.parametrize("prompt", CHECKS)
@given(value=st.text() | st.none() | st.integers())
@quick
def test_a_check_returns_the_answer_or_refuses_it_in_one_line(prompt: str, value: object) -> None:
    try:
        assert CHECKS[prompt](value) == value
    except FailedHookException as refusal:
        assert str(refusal).isprintable()
        assert str(refusal).startswith(f"{prompt}: ")


def test_a_refusal_names_the_invalid_part() -> None:
    words = "data_path: the name of column 2 'a{{b' would be evaluated"
    refused(lambda: checked_text("a{{b", "data_path", "name of column 2"), words)


@given(st.text(max_size=300))
@quick
def test_values_in_messages_are_short_and_printable(value: str) -> None:
    assert len(shown(value)) <= 60
    assert shown(value).isprintable()


def test_the_nearest_choice_ignores_case_and_dashes() -> None:
    assert nearest("standard 1", ["BASIC", "STANDARD_1"]) == "STANDARD_1"
    assert nearest("zzz", ["BASIC", "STANDARD_1"]) == ""


@pytest.mark.parametrize("name", ["Census Income", "Café 😀", '"quoted" \\ name', "x" * 100, "{a}"])
def test_a_project_name_is_any_line_of_text(name: str) -> None:
    assert checked_project_name(name) == name


@pytest.mark.parametrize(("name", "problem"), [("", "empty"), ("  ", "empty"), ("x" * 101, "long")])
def test_a_project_name_without_text_or_end_is_refused(name: str, problem: str) -> None:
    refused(lambda: checked_project_name(name), problem, "1 to 100 characters", "Census Income")


@pytest.mark.parametrize("slug", ["a", "census-income", "census_income2", "a" * 63, "console"])
def test_a_folder_name_is_accepted(slug: str) -> None:
    assert checked_slug(slug) == slug


@pytest.mark.parametrize(
    "slug",
    ["", ".", "..", "../x", "/x", "a/b", "a\\b", "a b", "A", "1a", "-a", "a.b", "é", "a" * 64, "~"],
)
def test_a_path_or_a_wrong_folder_name_is_refused(slug: str) -> None:
    message = refused(
        lambda: checked_slug(slug), "is not a valid folder name", "no path", "--output-dir"
    )
    checked_slug(re.findall(r"write (\S+), for example", message)[0])


@pytest.mark.parametrize("slug", ["con", "nul", "aux", "prn", "com1", "lpt9"])
def test_a_windows_device_name_is_refused(slug: str) -> None:
    refused(lambda: checked_slug(slug), "device on Windows", f"write {slug}-training")


@given(st.text(alphabet="ab-_./\\~$ \nA1é{}%") | ANY_TEXT)
@quick
def test_an_accepted_slug_stays_in_the_output_folder(slug: str) -> None:
    try:
        checked_slug(slug)
    except FailedHookException:
        return
    folder = Path("/output")
    assert Path(os.path.normpath(folder / slug)).parent == folder


@given(ANY_TEXT | st.sampled_from(["con", "!!!", "99 bottles", "NUL", "x" * 80, "a" * 62 + " b"]))
@quick
def test_the_suggested_slug_is_always_accepted(name: str) -> None:
    assert checked_slug(suggested_slug(name)) == suggested_slug(name)


def test_the_suggested_slug_reads_like_the_name() -> None:
    assert suggested_slug("Census Income") == "census-income"
    assert suggested_slug("Café 2 Go!") == "cafe-2-go"
    assert suggested_slug("数据") == "training"


@pytest.mark.parametrize("answer", ["auto", "skip"])
def test_the_smoke_test_is_auto_or_skip(answer: str) -> None:
    assert checked_smoke_test(answer) == answer


@pytest.mark.parametrize(
    ("answer", "remedy"),
    [
        ("skp", "write 'skip', if"),
        ("yes", "auto to run"),
        ("", "auto to run"),
    ],
)
def test_another_smoke_test_is_refused(answer: str, remedy: str) -> None:
    refused(lambda: checked_smoke_test(answer), "expected auto or skip", remedy)


@pytest.mark.parametrize("project", ["your-project-id", "abcdef", "a" * 30, "example.com:my-proj"])
def test_a_project_id_is_accepted(project: str) -> None:
    assert checked_gcp_project(project) == project


@pytest.mark.parametrize(
    "project",
    ["", "abcde", "a" * 31, "Project-1", "1project", "project-", "my_project", ":project"],
)
def test_another_project_id_is_refused(project: str) -> None:
    refused(
        lambda: checked_gcp_project(project),
        "is not a project ID",
        "6 to 30",
        "gcloud projects list",
    )


def test_a_project_number_is_refused() -> None:
    refused(
        lambda: checked_gcp_project("123456789012"), "is a project number", "gcloud projects list"
    )


@pytest.mark.parametrize(
    ("region", "remedy"),
    [
        ("us-centrl1", "write 'us-central1', if"),
        ("us-central1-a", "write 'us-central1', if"),
        ("us_east_4", "write 'us-east4', if"),
        ("europe-west5", "write 'europe-west"),
        ("", "write us-central1, for example"),
        ("mars", "write us-central1, for example"),
    ],
)
def test_a_region_without_training_is_refused(region: str, remedy: str) -> None:
    refused(
        lambda: checked_region(region),
        f"{region!r} is not a region that offers training",
        "one of the 42 that do",
        remedy,
    )


@pytest.mark.parametrize("bucket", ["abc", "a" * 63, "my_bucket", "1-2", "data.example.com"])
def test_a_bucket_name_is_accepted(bucket: str) -> None:
    assert checked_bucket(bucket) == bucket


@pytest.mark.parametrize(
    ("bucket", "words"),
    [
        ("gs://my-bucket", "is a URI; expected the bucket's name alone; remove gs://"),
        ("ab", "has 2 characters; expected 3 to 63"),
        ("a" * 64, "has 64 characters; expected 3 to 63"),
        (f"{'a' * 60}.{'b' * 64}", "has a part that is too long; expected at most 63"),
        (".".join(["a" * 60] * 4), "has 243 characters; expected 3 to 222"),
        ("My-Bucket", "has a character that bucket names cannot have"),
        ("-bucket", "has a character that bucket names cannot have"),
        ("bucket_", "has a character that bucket names cannot have"),
        ("my bucket", "has a character that bucket names cannot have"),
        ("bucket/folder", "has a character that bucket names cannot have"),
        ("192.168.5.4", "looks like an IP address"),
        ("a..b", "contains '..'"),
        ("a-.b", "contains '-.'"),
        ("a.-b", "contains '.-'"),
        ("goog-data", "starts with 'goog'"),
        ("my-google-data", "contains 'google'"),
        ("my-g00gle-data", "contains 'g00gle'"),
    ],
)
def test_a_bucket_name_against_the_rules_is_refused(bucket: str, words: str) -> None:
    refused(lambda: checked_bucket(bucket), "bucket: ", words)


@given(
    st.from_regex(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", fullmatch=True)
    | st.sampled_from(["goog-data", "my-google-project", "example.com:my-proj", "a" * 30]),
    st.sampled_from(training_regions()),
)
@quick
def test_the_suggested_bucket_is_always_accepted(project: str, region: str) -> None:
    bucket = suggested_bucket(checked_gcp_project(project), region)
    assert checked_bucket(bucket).endswith(region)


def test_the_suggested_bucket_names_project_and_region() -> None:
    assert suggested_bucket("your-project-id", "us-central1") == "your-project-id-us-central1"


@pytest.mark.parametrize(
    ("tier", "region", "words"),
    [
        (
            "basics",
            "us-central1",
            ("'basics' is not a scale tier", "one of BASIC, ", "write 'BASIC', if"),
        ),
        ("", "us-central1", ("'' is not a scale tier", "write BASIC for one CPU machine")),
        (
            "BASIC_GPU",
            "us-west3",
            ("BASIC_GPU needs NVIDIA_TESLA_T4", "'us-west3'", "us-central1 or"),
        ),
        ("BASIC_TPU", "europe-west4", ("needs TPU_V5_LITEPOD", "4 regions", "us-west4")),
        (
            "L4",
            "europe-west1",
            ("needs NVIDIA_L4", "write BASIC, or region europe-west2 or europe-west4"),
        ),
    ],
)
def test_a_tier_that_the_region_lacks_is_refused(
    tier: str, region: str, words: tuple[str, ...]
) -> None:
    refused(lambda: checked_scale_tier(tier, region), *words)


@pytest.mark.parametrize("region", training_regions())
def test_a_tier_without_accelerators_runs_in_every_region(region: str) -> None:
    for tier in ("BASIC", "STANDARD_1", "PREMIUM_1", "CUSTOM"):
        assert checked_scale_tier(tier, checked_region(region)) == tier


@pytest.mark.parametrize(
    ("check", "answer", "meant"),
    [
        (CHECKS["scale_tier"], "basic-gpu", "BASIC_GPU"),
        (CHECKS["scale_tier"], " Standard 1", "STANDARD_1"),
        (CHECKS["scale_tier"], "a100-40gb", "A100_40GB"),
        (checked_region, "US-Central1", "us-central1"),
        (checked_region, "europe_west4", "europe-west4"),
        (checked_smoke_test, "Skip", "skip"),
    ],
)
def test_case_and_dashes_of_a_choice_do_not_matter(
    check: Callable[[Any], str], answer: str, meant: str
) -> None:
    assert check(answer) == meant
