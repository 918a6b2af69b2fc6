"""`nox -s predict`: predict rows with a trained model."""

import argparse
from pathlib import Path

from launcher.console import Console, UserError
from launcher.packaging.environment import ensure_environment, run_module
from launcher.project import Project, build, job_of
from launcher.run_folders import newest_model


def predict(project: Project, given: argparse.Namespace, rest: list[str], console: Console) -> int:
    """Print a prediction for each row of a file: one JSON object a line, and nothing else."""
    job = job_of(project, given)
    model = project.absolute(given.model) if given.model else str(newest_model(project.runs))
    prepared = project.absolute(job.data.prepared)
    rows = project.absolute(given.input) if given.input else str(Path(prepared, "examples.jsonl"))
    if not given.input and not Path(rows).is_file():
        raise UserError(
            f"{rows} does not exist",
            "the rows that preparing the data sets aside",
            "run nox -s prepare first, or name a file with --input",
        )
    ensure_environment(project.training, build(project, console), console)
    console.step("predict", f"{project.shown_path(model)}, rows of {project.shown_path(rows)}")
    arguments = ["trainer.predict", "--model", model, "--input", rows, *rest]
    return run_module(project.training, arguments, project.folder)
