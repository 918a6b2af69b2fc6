"""The CustomJob of every tier and runtime, and the copies of them that are kept in tests/golden/specs."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bakery import GOLDEN, bake

SPECS = GOLDEN / "specs"
PROGRAM = """
import dataclasses, json, sys
from pathlib import Path
from launcher.spec.custom_job import Run, custom_job_of
from launcher.spec.catalog import kind_of
from launcher.spec.job_file import read_job

EXECUTOR = "us-docker.pkg.dev/vertex-ai/training/tf-{kind}.2-17.py310:latest"
job = read_job(Path("job.toml"))
run = Run("a-run", "gs://bucket/package.tar.gz", "0123456789abcdef" * 4, "gs://bucket/data")
specs = {}
for name, tier in job.tiers.items():
    kind = kind_of(tier)
    for runtime in ["image"] if kind == "tpu" else ["stock", "image", "executor"]:
        image = EXECUTOR.format(kind=kind) if runtime == "executor" else ""
        cloud = dataclasses.replace(job.cloud, scale_tier=name)
        changed = dataclasses.replace(job.runtime, kind=runtime, image=image)
        one = dataclasses.replace(job, cloud=cloud, runtime=changed)
        specs[f"{name}.{runtime}"] = custom_job_of(one, run)
json.dump(specs, sys.stdout)
"""


def specs_of(project: Path) -> dict[str, str]:
    """Return the CustomJob of each tier and runtime of a baked project, as text."""
    variables = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, cwd=project, env=variables, capture_output=True, check=True)
    return {
        name: json.dumps(spec, indent=2) + "\n" for name, spec in json.loads(done.stdout).items()
    }


def write_specs() -> None:
    """Rewrite the copies."""
    shutil.rmtree(SPECS, ignore_errors=True)
    SPECS.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, text in specs_of(bake(Path(folder), {})).items():
            (SPECS / f"{name}.json").write_text(text, encoding="utf-8", newline="\n")
