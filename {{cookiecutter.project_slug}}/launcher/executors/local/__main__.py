"""Runs one CustomJob from a file: `python -m launcher.executors.local JOB.json --mount DIR --package FILE`."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from launcher.console import Console, Refused, UserError
from launcher.contract import EXIT_INTERRUPTED, EXIT_USER_ERROR
from launcher.executors.local.executor import run_custom_job
from launcher.files import locked
from launcher.packaging.environment import install
from launcher.packaging.sdist import stored
from launcher.project import Project
from launcher.subprocesses import end_children_on_terminate, end_without_parent


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m launcher.executors.local", allow_abbrev=False)
    parser.add_argument("job", type=Path, help="a CustomJob as JSON")
    parser.add_argument("--mount", type=Path, required=True, help="the folder of the buckets")
    parser.add_argument("--package", type=Path, required=True, help="its source distribution")
    options = parser.parse_args(arguments)
    end_children_on_terminate()
    end_without_parent()
    console, project = Console(), Project(Path.cwd())
    try:
        custom_job = json.loads(options.job.read_text(encoding="utf-8"))
        # Whoever starts the same file again, as a study does that was killed, waits for this process to end.
        lock = options.job.with_suffix(".lock")
        with locked(lock, "another process that runs this job", console):
            distribution = stored(options.package, project.packages, console)
            python = install(project.training, distribution, console)
            return run_custom_job(custom_job, python, options.mount.absolute(), console)
    except (UserError, Refused) as error:
        console.error(error)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return EXIT_USER_ERROR


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
