"""What is found before a job is sent, rule by rule. The template's own tests plant each mistake in a project."""

import ast
import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from launcher import code_checks, import_checks, job_checks, machine_checks, version_checks
from launcher.console import UserError
from launcher.google_cloud import Pool, google_cloud, offered_tiers, training_regions
from launcher.job import Cloud, Data, Job, Runtime, Scheduling
from launcher.tiers import parted, scheduling_text

DATA = Data(train="t.csv", eval_share=0.1, max_rejected_share=0.0, prepared="data/prepared")
TODAY = datetime.date(2026, 1, 1)
LIST = "us-docker.pkg.dev/vertex-ai/training"


def job_of(cloud: dict[str, str] | None = None, **sections: Any) -> Job:
    """Return a job without mistakes but for what is given."""
    right = {"project": "some-project", "region": "us-central1", "bucket": "some-bucket"}
    return Job(
        Cloud(**{**right, "scale_tier": "BASIC", **(cloud or {})}),
        DATA,
        **{"arguments": {}, "tiers": offered_tiers(), **sections},
    )


def on(region: str = "us-central1", **pools: Pool) -> Job:
    """Return a job with pools of its own."""
    return job_of({"scale_tier": "MINE", "region": region}, tiers={"MINE": pools})


def one(found: Sequence[UserError]) -> str:
    """Return the only finding."""
    assert len(found) == 1, [str(finding) for finding in found]
    return str(found[0])


def of_job(job: Job, *arguments: str, folder: Path = Path("/nowhere")) -> list[UserError]:
    """Return what is wrong with job.toml apart from its machines."""
    return job_checks.job_findings(job, arguments, folder, TODAY)


def test_a_job_without_mistakes_has_no_findings() -> None:
    assert machine_checks.machine_findings(job_of()) == [] == of_job(job_of())


@pytest.mark.parametrize("tier", [name for name, tier in offered_tiers().items() if tier])
def test_every_tier_is_sound_where_it_is_offered_and_only_there(tier: str) -> None:
    for region in training_regions():
        job = job_of({"scale_tier": tier, "region": region})
        offered = tier in parted({tier: job.tier()}, region)[0]
        assert offered == (machine_checks.machine_findings(job) == [])


@pytest.mark.parametrize(
    ("region", "part"),
    [
        ("us-centrall", "write us-central1"),
        ("us-central1-a", "write us-central1"),
        ("europe_west4", "write europe-west4"),
        ("mars", "write us-central1, for example"),
    ],
)
def test_a_region_that_is_none(region: str, part: str) -> None:
    assert part in one(machine_checks.machine_findings(job_of({"region": region})))


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
def test_a_machine_that_cannot_be_had(pool: Pool, part: str) -> None:
    assert part in one(machine_checks.machine_findings(on(chief=pool)))


def test_an_accelerator_that_is_elsewhere_names_where() -> None:
    finding = one(machine_checks.machine_findings(on("africa-south1", chief=offered_l4())))
    assert all(name in finding for name in google_cloud()["accelerator_regions"]["NVIDIA_L4"])


def offered_l4() -> Pool:
    """Return the machine of the tier L4."""
    return offered_tiers()["L4"]["chief"]


def test_pools_that_do_not_go_together() -> None:
    tpu, cpu = offered_tiers()["BASIC_TPU"]["chief"], Pool("n1-standard-8")
    for job, part in (
        (on(chief=tpu, worker=cpu), "a TPU with more pools"),
        (on(chief=Pool(tpu.machine, 2, tpu_topology="2x2")), "a TPU with more pools"),
        (on(chief=cpu, evaluator=Pool("n1-standard-8", 2)), "at most one"),
        (on(chief=cpu, worker=cpu, parameter_server=cpu), "all-reduce"),
    ):
        assert part in one(machine_checks.machine_findings(job))


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
def test_scheduling_that_is_refused(tier: str, asked: Scheduling, part: str) -> None:
    larger = Pool("g2-standard-12", 1, "NVIDIA_L4", 1)
    tiers = {
        **offered_tiers(),
        "POD": {"chief": Pool("ct5lp-hightpu-4t", tpu_topology="4x4")},
        "UNEQUAL": {"chief": offered_l4(), "worker": larger},
    }
    job = job_of({"scale_tier": tier}, scheduling=asked, tiers=tiers)
    assert part in one(machine_checks.machine_findings(job))


def test_what_a_tier_takes_is_what_the_checks_take() -> None:
    for name, tier in offered_tiers().items():
        for strategy in ("standard", "spot", "flex_start"):
            job = job_of({"scale_tier": name}, scheduling=Scheduling(strategy=strategy))
            if tier:
                sound = not machine_checks.strategy_findings(job) or all(
                    finding is None for finding in machine_checks.strategy_findings(job)
                )
                assert (strategy in scheduling_text(tier)) == sound, (name, strategy)


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
    ],
)
def test_a_name_that_google_refuses(cloud: dict[str, str], part: str) -> None:
    assert part in one(of_job(job_of(cloud)))


def test_names_that_google_takes() -> None:
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
        ({"environment": {"1V": ""}}, "no name of a variable"),
        ({"scheduling": Scheduling(timeout="0h")}, "more than 0"),
        ({"scheduling": Scheduling(timeout="8d")}, "at most 7d"),
        ({"scheduling": Scheduling(timeout="1w")}, "a whole number with"),
        ({"scheduling": Scheduling(max_wait="soon")}, "max_wait"),
        ({"scheduling": Scheduling(reservation="mine")}, "projects/PROJECT"),
        ({"runtime": Runtime("stok")}, "write stock"),
        ({"runtime": Runtime("executor")}, "an image of Google's list"),
        ({"runtime": Runtime("executor", "docker.io/me/tf:1")}, "an image of Google's list"),
        ({"runtime": Runtime("executor", f"{LIST}/tf-cpu.2-15.py310:latest")}, "2025-11-14"),
        ({"runtime": Runtime("image", "no image at all")}, "an address such as"),
    ],
)
def test_a_value_that_is_refused(sections: dict[str, Any], part: str) -> None:
    assert part in one(of_job(job_of(**sections)))


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
def test_a_path_of_this_machine(value: str, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "t.csv").touch()
    for found in (
        of_job(job_of(arguments={"table": value}), folder=tmp_path),
        of_job(job_of(environment={"TABLE": value}), folder=tmp_path),
        of_job(job_of(), "--table", value, folder=tmp_path),
        of_job(job_of(), f"--table={value}", folder=tmp_path),
    ):
        assert "a gs:// address" in one(found)


def test_what_is_no_path_of_this_machine(tmp_path: Path) -> None:
    for value in ("gs://b/t.csv", "/gcs/b/t.csv", "relu", "64,32", "0.1", "a/b", "/tmp/none/here"):
        assert of_job(job_of(arguments={"thing": value}), folder=tmp_path) == []


def test_only_the_placeholder_is_not_ready() -> None:
    assert job_checks.ready_findings(job_of()) == []
    assert "placeholder" in one(job_checks.ready_findings(job_of({"project": "your-project-id"})))


@pytest.mark.parametrize(
    "text",
    [
        "main()",
        "print('hello')",
        "model.fit(data)",
        "with open('t.csv') as file:\n    ROWS = file.read()",
        "for row in open('t.csv'):\n    pass",
        "class A:\n    rows = pandas.read_csv('t.csv')",
        "if True:\n    train()",
        "ROWS = tf.data.TextLineDataset('t.csv')",
        "try:\n    DATA = load_data()\nexcept OSError:\n    DATA = None",
        "def f(rows=open('t.csv')):\n    return rows",
        "ROWS = [line for line in open('t.csv')]",
    ],
)
def test_code_that_acts_on_import(text: str, tmp_path: Path) -> None:
    write_module(tmp_path, text)
    assert "trainer/a.py, line " in one(import_checks.import_time_findings(tmp_path))


@pytest.mark.parametrize(
    "text",
    [
        "import re\nWORD = re.compile('a')",
        "def f():\n    return open('t.csv')",
        "READ = lambda: open('t.csv')",
        "if __name__ == '__main__':\n    main()",
        "keras.utils.set_random_seed(1)",
        "TABLE = {}\nfor name in ('a', 'b'):\n    TABLE[name] = len(name)",
        "WORDS = Path(__file__).with_name('words.txt').read_text()",
        "logging.getLogger('x').addHandler(h)",
        '"""A docstring."""',
    ],
)
def test_code_that_only_defines(text: str, tmp_path: Path) -> None:
    write_module(tmp_path, text)
    assert import_checks.import_time_findings(tmp_path) == []


def write_module(folder: Path, text: str) -> Path:
    """Write trainer/a.py."""
    (folder / "trainer").mkdir()
    (folder / "trainer" / "__init__.py").touch()
    (folder / "trainer" / "a.py").write_text(text + "\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    "text",
    [
        "def f():\n    from trainer.nosuch import x",
        "def f():\n    from .nosuch import x",
        "import trainer.nosuch",
    ],
)
def test_a_module_of_the_package_that_does_not_exist(text: str, tmp_path: Path) -> None:
    write_module(tmp_path, text)
    assert "imports trainer.nosuch" in one(import_checks.own_import_findings(tmp_path))


def test_modules_of_the_package_that_exist(tmp_path: Path) -> None:
    write_module(tmp_path, "from trainer import a\nfrom . import a\nfrom .a import b\nimport os")
    assert import_checks.own_import_findings(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("try:\n    f()\nexcept* ValueError:\n    pass", "syntax that is newer"),
        ("import tomllib", "tomllib is new in Python 3.11"),
        ("from datetime import UTC", "datetime.UTC is new"),
        ("import datetime as dt\nNOW = dt.UTC", "datetime.UTC is new"),
        ("if __name__ == '__main__':\n    import tomllib", "tomllib is new"),
        ("def f():\n    from typing import Self", "typing.Self is new"),
    ],
)
def test_what_python_3_10_does_not_have(text: str, part: str, tmp_path: Path) -> None:
    write_module(tmp_path, text)
    try:
        ast.parse(text)
    except SyntaxError:
        pytest.skip("this Python does not have it either")
    assert part in one(version_checks.version_findings(tmp_path, "3.10"))


@pytest.mark.parametrize(
    "text",
    [
        "try:\n    import tomllib\nexcept ImportError:\n    tomllib = None",
        "import sys\nif sys.version_info >= (3, 11):\n    import tomllib",
        "with (open('a') as a, open('b') as b):\n    pass",
        "x = f\"{'a'}\"",
        "match 1:\n    case 1:\n        pass",
        "import itertools\nPAIRS = itertools.pairwise",
    ],
)
def test_what_python_3_10_has(text: str, tmp_path: Path) -> None:
    write_module(tmp_path, text)
    assert version_checks.version_findings(tmp_path, "3.10") == []


def test_a_module_that_a_newer_python_removed(tmp_path: Path) -> None:
    write_module(tmp_path, "def f():\n    import imp")
    assert "removed in Python 3.12" in one(version_checks.version_findings(tmp_path, "3.12"))
    assert version_checks.version_findings(tmp_path, "3.11") == []


@pytest.mark.parametrize(
    ("module", "text", "part"),
    [
        ("trainer.tusk", "", "there is no such module"),
        ("trainer/a.py", "if __name__ == '__main__':\n    f()", "write trainer.a"),
        ("trainer.a:main", "def main():\n    pass", "write trainer.task"),
        ("trainer", "", "there is no such module"),
        ("trainer.a", "def main():\n    pass", "does nothing when it is started"),
        ("trainer.a", "TEXT = '''\nif __name__ == 0: 1\n'''", "does nothing when it is started"),
    ],
)
def test_a_module_that_cannot_be_started(module: str, text: str, part: str, tmp_path: Path) -> None:
    write_module(tmp_path, text)
    assert part in one(code_checks.entry_findings(module, tmp_path))


def test_modules_that_can_be_started(tmp_path: Path) -> None:
    write_module(tmp_path, "if '__main__' == __name__:\n    main()")
    (tmp_path / "trainer" / "__main__.py").touch()
    for module in ("trainer.a", "trainer"):
        assert code_checks.entry_findings(module, tmp_path) == []


def test_a_path_of_somebodys_home_in_the_code(tmp_path: Path) -> None:
    write_module(tmp_path, "def f():\n    return open('/home/me/t.csv')")
    assert "a place on this machine" in one(code_checks.home_findings(tmp_path))


@pytest.mark.parametrize(
    "requirement",
    ["==2.15.*", "==2.15.1", "<2.21", "~=2.20.0", ">=2.22", ">=2.10,<2.16", "!=2.21.*", "~=3.0"],
)
def test_another_tensorflow_than_the_machines_have(requirement: str) -> None:
    line = f'tensorflow-cpu{requirement}; extra == "local"'
    assert "have TensorFlow 2.21" in one(code_checks.tensorflow_findings([line], "2.21"))


def test_the_same_tensorflow_as_the_machines_have() -> None:
    for requirement in ("==2.21.*", "==2.21.0", ">=2.20", "~=2.20", ">=2.21,<2.22", "", "!=2.20.*"):
        line = f'tensorflow{requirement}; extra == "local"'
        assert code_checks.tensorflow_findings([line], "2.21") == []
    other = ['tensorflow-text==2.15; extra == "text"', 'tensorflow==2.15; extra == "old"']
    assert code_checks.tensorflow_findings(other, "2.21") == []


def test_a_tensorflow_that_would_replace_the_machines() -> None:
    for name in ("tensorflow==2.21.0", "Tensorflow_CPU>=2", "tf-nightly"):
        assert 'EXTRAS["local"]' in one(code_checks.tensorflow_findings([name], "2.21"))
