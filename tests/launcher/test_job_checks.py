"""The checks of job.toml, rule by rule."""

import datetime
from pathlib import Path
from typing import Any

import pytest
from launcher.checks import job_settings, machines
from launcher.checks.secrets import file_findings, secret_findings
from launcher.commands.submit import cost_of
from launcher.commands.tiers import parted, scheduling_text
from launcher.console import UserError
from launcher.spec.catalog import Pool, google_cloud, offered_tiers, training_regions
from launcher.spec.job_file import Job, Runtime, Scheduling

from tests.launcher.samples import job_of, one, write_files

TODAY = datetime.date(2026, 1, 1)
LIST = "us-docker.pkg.dev/vertex-ai/training"


def on(region: str = "us-central1", **pools: Pool) -> Job:
    return job_of({"scale_tier": "MINE", "region": region}, tiers={"MINE": pools})


def of_job(job: Job, *arguments: str, folder: Path = Path("/nowhere")) -> list[UserError]:
    """Return the findings about job.toml but for its machines."""
    return job_settings.job_findings(job, arguments, folder, TODAY)


def test_a_valid_job_has_no_findings() -> None:
    assert machines.machine_findings(job_of()) == [] == of_job(job_of())


@pytest.mark.parametrize("tier", [name for name, tier in offered_tiers().items() if tier])
def test_every_tier_is_valid_only_in_its_regions(tier: str) -> None:
    for region in training_regions():
        job = job_of({"scale_tier": tier, "region": region})
        offered = tier in parted({tier: job.tier()}, region)[0]
        assert offered == (machines.machine_findings(job) == [])


@pytest.mark.parametrize(
    ("region", "part"),
    [
        ("us-centrall", "write us-central1"),
        ("us-central1-a", "write us-central1"),
        ("europe_west4", "write europe-west4"),
        ("mars", "write us-central1, for example"),
        ("projects/p/locations/europe-west4", "write europe-west4"),
    ],
)
def test_an_unknown_region_is_reported(region: str, part: str) -> None:
    assert part in one(machines.machine_findings(job_of({"region": region})))


@pytest.mark.parametrize(
    ("pool", "part"),
    [
        (Pool("n1-standard-5"), "write n1-standard-"),
        (Pool("n1-standard-8", 1, "NVIDIA_TESLA_K80", 1), "write NVIDIA_TESLA_T4"),
        (Pool("n1-standard-8", 1, "nvidia-tesla-p100", 1), "write NVIDIA_TESLA_V100"),
        (Pool("n1-standard-8", 1, "NVIDIA_TESLA_T4", 3), "1 or 2 or 4 of them"),
        (Pool("n2-standard-8", 1, "NVIDIA_TESLA_T4", 1), "does not take NVIDIA_TESLA_T4"),
        (Pool("g2-standard-24", 1, "NVIDIA_L4", 1), "2 x NVIDIA_L4"),
        (Pool("g2-standard-8"), "1 x NVIDIA_L4"),
        (Pool("n1-standard-8", 1, "L4", 1), "write NVIDIA_L4"),
        (Pool("n1-standard-8", 1, "TPU_V3", 8), "ct5lp-hightpu-4t"),
        (Pool("n1-standard-8", 1, "", 2), "without an accelerator"),
        (Pool("n1-standard-8", 0), "1 or more"),
        (Pool("n1-standard-8", tpu_topology="2x2"), "remove tpu_topology"),
        (Pool("ct5lp-hightpu-4t", tpu_topology="3x3"), "2x2"),
        (Pool("ct5lp-hightpu-4t"), 'write tpu_topology = "2x2"'),
        (Pool("n1-standard-8", 2), "2 chiefs"),
    ],
)
def test_an_unavailable_machine_is_reported(pool: Pool, part: str) -> None:
    assert part in one(machines.machine_findings(on(chief=pool)))


def test_an_accelerator_of_other_regions_is_reported_with_them() -> None:
    finding = one(machines.machine_findings(on("africa-south1", chief=offered_l4())))
    assert all(name in finding for name in google_cloud()["accelerator_regions"]["NVIDIA_L4"])


def offered_l4() -> Pool:
    return offered_tiers()["L4"]["chief"]


def test_pools_that_cannot_be_combined_are_reported() -> None:
    tpu, cpu = offered_tiers()["BASIC_TPU"]["chief"], Pool("n1-standard-8")
    for each, part in (
        (on(chief=tpu, worker=cpu), "a TPU with more pools"),
        (on(chief=Pool(tpu.machine, 2, tpu_topology="2x2")), "a TPU with more pools"),
        (on(chief=cpu, evaluator=Pool("n1-standard-8", 2)), "at most one"),
        (on(chief=cpu, worker=cpu, parameter_server=cpu), "all-reduce"),
    ):
        assert part in one(machines.machine_findings(each))


RESERVATION = "projects/p/zones/us-central1-a/reservations/r"


@pytest.mark.parametrize(
    ("tier", "asked", "part"),
    [
        ("BASIC", Scheduling(strategy="flex_start"), "none of its accelerators"),
        ("BASIC", Scheduling(strategy="SPOTT"), "write spot"),
        ("L4", Scheduling(strategy="flex_start", reservation=RESERVATION), "one of the two"),
        ("L4", Scheduling(reservation=RESERVATION.replace("central", "east")), "is in us-east1-a"),
        ("POD", Scheduling(strategy="spot"), "TPU pod"),
        ("UNEQUAL", Scheduling(strategy="flex_start"), "the same in every pool"),
    ],
)
def test_invalid_scheduling_is_reported(tier: str, asked: Scheduling, part: str) -> None:
    larger = Pool("g2-standard-12", 1, "NVIDIA_L4", 1)
    tiers = {
        **offered_tiers(),
        "POD": {"chief": Pool("ct5lp-hightpu-4t", tpu_topology="4x4")},
        "UNEQUAL": {"chief": offered_l4(), "worker": larger},
    }
    job = job_of({"scale_tier": tier}, scheduling=asked, tiers=tiers)
    assert part in one(machines.machine_findings(job))


def test_the_strategies_of_a_tier_are_those_that_the_checks_accept() -> None:
    pods = {"POD": {"chief": Pool("ct5lp-hightpu-4t", tpu_topology="2x4")}}
    job = job_of(scheduling=Scheduling("spot"), tiers={**offered_tiers(), **pods})
    assert scheduling_text(job, "BASIC") == "standard, spot, reservation"
    assert scheduling_text(job, "L4") == "standard, spot, flex_start, reservation"
    assert scheduling_text(job, "BASIC_TPU") == "standard, spot, reservation"
    assert scheduling_text(job, "POD") == "standard, reservation"


@pytest.mark.parametrize(
    ("cloud", "part"),
    [
        ({"project": "Some-Project"}, "6 to 30"),
        ({"project": "short"}, "6 to 30"),
        ({"name": "Training"}, "lower-case"),
        ({"name": "n" * 129}, "128"),
        ({"service_account": "me@example.com"}, "gserviceaccount.com"),
        ({"bucket": "gs://some-bucket"}, "without gs://"),
        ({"bucket": "goog-bucket"}, "start with goog"),
        ({"bucket": "my-google-data"}, "google"),
        ({"bucket": "my-g00gle-data"}, "google"),
        ({"bucket": "192.168.5.4"}, "IP address"),
        ({"bucket": "ab"}, "3 to 63"),
        ({"bucket": "b" * 64}, "3 to 63"),
        ({"bucket": "Some-Bucket"}, "lower-case"),
        ({"bucket": "a..b"}, "no dot"),
        ({"bucket": "some-bucket/folder"}, 'write bucket = "some-bucket"'),
        ({"bucket": "gs://Some-Bucket/"}, 'write bucket = "some-bucket"'),
        ({"name": "team/model"}, 'write name = "team-model"'),
        ({"name": "2 Models"}, 'write name = "models"'),
        ({"project": "projects/some-project"}, 'write project = "some-project"'),
    ],
)
def test_an_invalid_name_is_reported(cloud: dict[str, str], part: str) -> None:
    assert part in one(of_job(job_of(cloud)))


def test_valid_names_are_not_reported() -> None:
    for cloud in (
        {"project": "example.com:some-project"},
        {"bucket": "a.b-c_d"},
        {"service_account": "trainer@some-project.iam.gserviceaccount.com"},
    ):
        assert of_job(job_of(cloud)) == []


@pytest.mark.parametrize(
    ("sections", "part"),
    [
        ({"labels": {"Team": "a"}}, "lower-case"),
        ({"labels": {"team": "A b"}}, "lower-case"),
        ({"labels": {"t" * 65: "a"}}, "at most 64"),
        ({"labels": {"run": "a"}}, "the launcher sets that"),
        ({"arguments": {"text": "x" * 100_001}}, "at most 100,000"),
        ({"environment": {f"V{n}": "" for n in range(101)}}, "101 entries"),
        ({"environment": {"1V": ""}}, "is not a valid variable name"),
        ({"environment": {"MY-V": ""}}, "write MY_V"),
        ({"environment": {"AIP_MODEL_DIR": ""}}, "none of AIP_*"),
        ({"environment": {"CLOUD_ML_ANY": ""}}, "remove or rename it"),
        ({"environment": {"TF_CONFIG": "{}"}}, "machines set themselves"),
        ({"environment": {"Cluster_Spec": "{}"}}, "machines set themselves"),
        ({"environment": {"GIT_REVISION": "1"}}, "machines set themselves"),
        ({"labels": {"app/name": "X/y"}}, 'write app-name = "x-y"'),
        ({"scheduling": Scheduling(timeout="0h")}, "more than 0"),
        ({"scheduling": Scheduling(timeout="8d")}, "at most 7d"),
        ({"scheduling": Scheduling(timeout="1w")}, "an integer with"),
        ({"scheduling": Scheduling(max_wait="soon")}, "max_wait"),
        ({"scheduling": Scheduling(reservation="mine")}, "projects/PROJECT"),
        ({"runtime": Runtime("stok")}, "write stock"),
        ({"runtime": Runtime("executor")}, "an image of Google's list"),
        ({"runtime": Runtime("executor", "docker.io/me/tf:1")}, "an image of Google's list"),
        ({"runtime": Runtime("executor", f"{LIST}/tf-cpu.2-15.py310:latest")}, "2025-11-14"),
        ({"runtime": Runtime("image", "no image at all")}, "an address such as"),
    ],
)
def test_an_invalid_value_is_reported(sections: dict[str, Any], part: str) -> None:
    assert part in one(of_job(job_of(**sections)))


@pytest.mark.parametrize(
    "sections",
    [
        {"environment": {"DB_PASSWORD": "hunter2hunter2"}},
        {"environment": {"HF_TOKEN": "hf_" + "a" * 34}},
        {"environment": {"SETTINGS": "ghp_" + "a" * 36}},
        {"environment": {"ENDPOINT": "https://me:hunter2hunter2@example.com/x"}},
        {"environment": {"ENDPOINT": "https://me:passw0rd-hunter2hunter2@example.com/x"}},
        {"environment": {"KEY_FILE": '{"type": "service_account", "id": "hunter2hunter2"}'}},
        {"arguments": {"api_key": "hunter2hunter2"}},
        {"environment": {"MODEL": f"sk-proj-{'a9_' * 9}{'aaaaaaa9' * 3}"}},
        {"labels": {"owner": "akia"}, "environment": {"ID": "AKIA" + "A" * 16}},
    ],
)
def test_a_secret_is_refused_and_not_repeated(sections: dict[str, Any]) -> None:
    found = one([*secret_findings(job_of(**sections), [])])
    assert "looks like a secret" in found and "Secret Manager" in found
    assert "hunter2" not in found and "aaa" not in found and "AAA" not in found


SECRETS = {
    "password": 'connect(password="hunter2hunter2")',
    "google": f'KEY = "AIza{"Sy4" * 11}Sy"',
    "address": 'URL = "https://me:hunter2hunter2@example.com"',
    "tracking": f'wandb.login(key="{"0a" * 20}")',
    "private": f"KEY = '-----BEGIN {'RSA PRIVATE'} KEY-----'",
}
HARMLESS = """
password = os.environ["PASSWORD"]
token = read_secret("projects/p/secrets/token/versions/latest")
TOKEN_COUNT = 128
COMMIT = "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"
"""


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_in_the_package_is_reported_once_it_is_there(name: str, tmp_path: Path) -> None:
    def found() -> list[str]:
        return [*map(str, file_findings(tmp_path, ["trainer/a.py", "PKG-INFO"], tmp_path / "note"))]

    write_files(tmp_path, {"trainer/a.py": HARMLESS})
    assert found() == []
    write_files(tmp_path, {"trainer/a.py": f"{HARMLESS}{SECRETS[name]}\n"})
    for finding in (*found(), *found()):  # the second time by the note
        assert finding.startswith("trainer/a.py, line 6 looks like a secret; expected none in the")
        assert "hunter2" not in finding and "Sy4" not in finding
    assert len(found()) == 1
    allowed = f"{HARMLESS}{SECRETS[name]}  # pragma: allowlist secret\n"
    write_files(tmp_path, {"trainer/a.py": allowed})
    assert found() == []


@pytest.mark.parametrize("arguments", [["--token=hunter2hunter2"], ["--token", "hunter2hunter2"]])
def test_a_secret_on_the_command_line_is_refused(arguments: list[str]) -> None:
    assert "--token looks like a secret" in one([*secret_findings(job_of(), arguments)])


@pytest.mark.parametrize(
    "variables",
    [
        {"TOKEN_COUNT": "128", "MAX_TOKENS": "many", "TOKENIZER": "words"},
        {"DB_PASSWORD": "projects/p/secrets/db/versions/latest"},
        {"USE_TOKEN": "true", "PASSWORD_FILE": "gs://bucket/file", "SECRET": ""},
        {"URL": "https://example.com:8080/a@b", "SEED": "20240501"},
        {"EXAMPLE": "postgres://user:password@host/db", "KIND": "sk-learn-compatible-estimators"},
        {"KIND": "sk-learn-compatible-estimator-2", "NAME": "sk-learn_pipeline_2_of_a_long_name_4"},
        {"IMAGE": "task-sk-learnCompatibleEstimators12:latest"},
    ],
)
def test_other_values_are_not_reported_as_secrets(variables: dict[str, str]) -> None:
    assert not [*secret_findings(job_of(environment=variables), [])]


def test_an_image_fits_its_machines() -> None:
    cpu = Runtime("stock", "tensorflow/tensorflow:2.21.0")
    job = job_of({"scale_tier": "BASIC_GPU"}, runtime=cpu)
    assert "2.21.0-gpu" in one(of_job(job))
    job = job_of({"scale_tier": "BASIC_TPU"}, runtime=Runtime("stock"))
    assert "an image of your own" in one(of_job(job))
    listed = Runtime("executor", f"{LIST}/tf-cpu.2-17.py310:latest")
    assert of_job(job_of(runtime=listed)) == []


@pytest.mark.parametrize(
    "value",
    ["/home/me/t.csv", "~/t.csv", "file:///t.csv", "C:\\t.csv", "./t.csv", "sub/t.csv", "$HOME/t"],
)
def test_a_local_path_is_reported(value: str, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "t.csv").touch()
    for found in (
        of_job(job_of(arguments={"table": value}), folder=tmp_path),
        of_job(job_of(environment={"TABLE": value}), folder=tmp_path),
        of_job(job_of(), "--table", value, folder=tmp_path),
        of_job(job_of(), f"--table={value}", folder=tmp_path),
    ):
        assert "a gs:// address" in one(found)


def test_other_values_are_not_reported_as_local_paths(tmp_path: Path) -> None:
    for value in ("gs://b/t.csv", "/gcs/b/t.csv", "relu", "64,32", "0.1", "a/b", "/tmp/none/here"):
        assert of_job(job_of(arguments={"thing": value}), folder=tmp_path) == []
    for name, value in (
        ("table", "/opt/t.csv"),
        ("input", "/mnt/t.csv.gz"),
        ("data_dir", "/mnt/x"),
    ):
        assert of_job(job_of(arguments={name: value}), folder=tmp_path)
    for value in ("/predict", "/v1/models/census:predict", "/", "/workspace/out", "/bin/sh"):
        assert of_job(job_of(arguments={"health_path": value}), folder=tmp_path) == []
        assert of_job(job_of(), f"--route={value}", folder=tmp_path) == []
    for value in ("/usr/local/cuda/lib64:/usr/lib", "/app", "/opt/conda/bin", "/workspace/data"):
        assert of_job(job_of(environment={"LIBRARY_PATH": value}), folder=tmp_path) == []
    assert (
        of_job(job_of(environment={"CACHE": "/workspace/t.csv", "A": "/nosuch"}), folder=tmp_path)
        == []
    )


def test_only_the_placeholder_is_not_ready() -> None:
    assert job_settings.ready_findings(job_of()) == []
    assert "placeholder" in one(job_settings.ready_findings(job_of({"project": "your-project-id"})))


def test_a_job_may_run_for_a_day_unless_job_toml_says_otherwise() -> None:
    assert Scheduling().timeout == "1d"


def test_the_machines_and_the_longest_time_are_stated_with_the_formula_of_cost() -> None:
    stated = cost_of(job_of({"scale_tier": "STANDARD_1"}, scheduling=Scheduling(timeout="90m")), 1)
    assert "4 worker n1-standard-8; at most 1.5 hours (timeout" in stated["machines"]
    formula = (
        "1.5 hours x (1 x n1-standard-8 + 4 x n1-standard-8), at the prices per hour of https:"
    )
    assert formula in stated["cost"]
    study = cost_of(job_of({"scale_tier": "BASIC_GPU"}), 30)
    assert "24 hours each" in study["machines"] and "at most 30 trials x 24 hours" in study["cost"]
    assert "+ 1 x NVIDIA_TESLA_T4)" in study["cost"]
