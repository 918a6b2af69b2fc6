"""Both doubles on this machine for manual experiments, until Ctrl-C: `nox -s doubles -- ROOT --project DIR`.

Prints the variables that lead Google's clients, and so a project's launcher, to them.
"""

import argparse
import importlib
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.doubles import google_cloud
from tests.doubles.executor import executor_runner

# What the doubles validate bodies and checksums with, imported only when a request comes, and the distribution of each.
NEEDED = {
    "google.cloud.aiplatform_v1.types": "google-cloud-aiplatform",
    "google_crc32c": "google-cloud-storage",
}


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="nox -s doubles --", description=__doc__)
    made.add_argument(
        "root",
        type=Path,
        nargs="?",
        help="folder of the objects, ROOT/BUCKET/NAME; none: a new one",
    )
    made.add_argument(
        "--project", type=Path, help="baked project that runs the jobs; none: they do nothing"
    )
    made.add_argument(
        "--python", default=sys.executable, help="interpreter of the project's launcher"
    )
    made.add_argument("--bucket", help="regional bucket to create, as NAME or NAME@REGION")
    made.add_argument("--ports", type=int, nargs=2, default=(0, 0), metavar=("STORAGE", "JOBS"))
    return made


def import_failures(python: str, project: Path | None) -> Iterator[str]:
    """Yield what cannot be imported: of the doubles here, of the project's launcher by the interpreter that runs jobs."""
    for module, distribution in NEEDED.items():
        try:
            importlib.import_module(module)
        except ImportError as error:
            yield f"{error}, for the doubles: {distribution} provides {module}"
    if project:
        command = [python, "-m", "launcher.executors.local", "--help"]
        done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
        if done.returncode:
            yield f"{done.stderr.strip().splitlines()[-1]}, for {python} -m launcher.executors.local"


def main() -> None:
    """Serve until the process is interrupted or terminated."""
    given = parser().parse_args()
    failures = list(import_failures(given.python, given.project))
    if failures:
        lines = "".join(f"error: {failure}\n" for failure in failures)
        sys.exit(f"{lines}start the doubles with `nox -s doubles -- …`, which installs everything")
    root = (given.root or Path(tempfile.mkdtemp(prefix="doubles-"))).resolve()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    runner = given.project and executor_runner(given.project.resolve(), root, given.python)
    with google_cloud(root, runner, ports=tuple(given.ports)) as cloud:
        name, _, region = (given.bucket or "").partition("@")
        if name and name not in cloud.storage.buckets:
            cloud.storage.create_bucket(name, region or "us-central1")
        print(f"# objects: {root}")
        for key, value in cloud.variables.items():
            print(f"export {key}={shlex.quote(value)}")
        sys.stdout.flush()
        stop.wait()


if __name__ == "__main__":
    main()
