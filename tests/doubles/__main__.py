"""Both doubles for manual experiments: `python -m tests.doubles ROOT --project DIR`, until Ctrl-C."""

import argparse
import shlex
import signal
import sys
import threading
from pathlib import Path

from tests.doubles import google_cloud
from tests.doubles.executor import executor_runner


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m tests.doubles", description=__doc__)
    made.add_argument("root", type=Path, help="folder of the objects, ROOT/BUCKET/NAME")
    made.add_argument(
        "--project", type=Path, help="baked project that runs the jobs; none: they do nothing"
    )
    made.add_argument(
        "--python", default=sys.executable, help="interpreter of the project's launcher"
    )
    made.add_argument("--bucket", help="regional bucket to create, as NAME or NAME@REGION")
    made.add_argument("--ports", type=int, nargs=2, default=(0, 0), metavar=("STORAGE", "JOBS"))
    return made


def main() -> None:
    """Serve until the process is interrupted or terminated."""
    given = parser().parse_args()
    root = given.root.resolve()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    runner = given.project and executor_runner(given.project.resolve(), root, given.python)
    with google_cloud(root, runner, ports=tuple(given.ports)) as cloud:
        name, _, region = (given.bucket or "").partition("@")
        if name and name not in cloud.storage.buckets:
            cloud.storage.create_bucket(name, region or "us-central1")
        for key, value in cloud.variables.items():
            print(f"export {key}={shlex.quote(value)}")
        sys.stdout.flush()
        stop.wait()


if __name__ == "__main__":
    main()
