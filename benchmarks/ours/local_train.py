"""Our preparation and training as `nox -s local_train` runs them: the trainer loads TensorFlow while the table is prepared.

Run inside a baked project by the interpreter that trains; nox, the check and the package are left out.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

START_MODULE = Path("launcher", "executors", "local", "start_module.py")


def main() -> None:
    """Prepare and train, and exit as the trainer does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prepare", required=True, help="the interpreter that prepares")
    for name in ("--train", "--test", "--data-dir", "--job-dir"):
        parser.add_argument(name, type=Path, required=True)
    given, flags = parser.parse_known_args()
    trainer = subprocess.Popen([sys.executable, START_MODULE], stdin=subprocess.PIPE, text=True)
    tables = ("--train", given.train, "--test", given.test, "--output", given.data_dir)
    subprocess.run([given.prepare, "-m", "trainer.prepare", *tables, "--quiet"], check=True)
    folders = ["--data-dir", str(given.data_dir), "--job-dir", str(given.job_dir)]
    roots = json.dumps([*folders[1::2], str(Path.cwd())])
    used_paths = str(given.job_dir.with_suffix(".paths"))
    request = [used_paths, roots, "trainer.task", *folders, *flags]
    trainer.communicate(json.dumps([request, {}, str(Path.cwd())]) + "\n")
    sys.exit(trainer.returncode)


if __name__ == "__main__":
    main()
