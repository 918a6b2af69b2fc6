"""Jobs, studies and files that the launcher's tests share."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from launcher.console import Console, UserError
from launcher.packaging.sdist import packed
from launcher.runs import RunRecord
from launcher.spec.catalog import offered_tiers
from launcher.spec.custom_job import Run, custom_job_of
from launcher.spec.job_file import Cloud, Data, Job
from launcher.spec.study import Study, read_study

QUIET = Console(quiet=True)
DATA = Data(train="t.csv", eval_share=0.1, max_rejected_share=0.0, prepared="data/prepared")
RUN = Run(
    name="run-1",
    package_uri="gs://b/n/packages/0123/p.tar.gz",
    image_content="0123456789abcdef" * 4,
    data_uri="gs://b/n/data/4567",
    arguments=("--max-steps", "7"),
    revision="abc",
)

OPTIONS = {"metric": "auc", "goal": "maximize", "trials": 9}
ENSEMBLE = {"type": "integer", "min": 1, "max": 8}
RATE: dict[str, Any] = {"type": "double", "min": 0.001, "max": 0.1, "scale": "log"}
DROPOUT = {"type": "double", "min": 0.0, "max": 0.5, "when": {"ensemble": [1]}}
UNITS = {"type": "categorical", "values": ["64,32", "128,64,32"]}
BATCH = {"type": "discrete", "values": [256, 1024]}

FILES = {"PKG-INFO": "Name: x\n", "trainer/features.py": "", "trainer/model.py": "UNITS = 1"}
JOB = """
[job]
project = "some-project"
region = "us-central1"
bucket = "some-bucket"
scale_tier = "BASIC"
[data]
train = "t.csv"
eval_share = 0.1
max_rejected_share = 0.0
prepared = "data/prepared"
[study]
metric = "auc"
goal = "maximize"
trials = 9
[study.parameters.ensemble]
type = "integer"
min = 1
max = 8
"""


def job_of(cloud: Mapping[str, str] | None = None, **sections: Any) -> Job:
    """Return a valid job, with the given keys of [job] and other sections replaced."""
    valid = {"project": "some-project", "region": "us-central1", "bucket": "some-bucket"}
    return Job(
        Cloud(**{**valid, "scale_tier": "BASIC", **(cloud or {})}),
        DATA,
        **{"arguments": {}, "tiers": offered_tiers(), **sections},
    )


def study_of(parameters: Mapping[str, Any], **options: Any) -> Study:
    """Return the study of a job.toml with these parameters and options."""
    study = read_study({"study": {**OPTIONS, **options, "parameters": parameters}}, "job.toml")
    assert study
    return study


def one(found: Sequence[UserError]) -> str:
    """Return the text of the only finding."""
    assert len(found) == 1, [str(finding) for finding in found]
    return str(found[0])


def write_files(folder: Path, files: Mapping[str, str]) -> Path:
    """Write files below `folder` and return it."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def write_module(folder: Path, text: str) -> Path:
    """Write trainer/a.py below `folder` and return the folder."""
    return write_files(folder, {"trainer/__init__.py": "", "trainer/a.py": text + "\n"})


def record_of(
    folder: Path, *flags: str, files: Mapping[str, str] = FILES, data: str = "data-1"
) -> RunRecord:
    """Return what a run of a small package in the project `folder` is."""
    write_files(
        folder, {"job.toml": "[job]", "prepared/statistics.json": json.dumps({"fingerprint": data})}
    )
    content = packed({f"x-1/{name}": text.encode() for name, text in files.items()})
    path = folder / "x-1.tar.gz"
    path.write_bytes(content)
    job = custom_job_of(job_of(), dataclasses.replace(RUN, arguments=flags))
    prepared = str(folder / "prepared")
    return RunRecord(job, path, folder / "job.toml", prepared, data, ["M trainer/model.py"], {})
