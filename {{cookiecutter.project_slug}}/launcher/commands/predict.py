"""`nox -s predict`: predict rows with a trained model."""

from pathlib import Path

from launcher.commands.options import PredictOptions
from launcher.console import Console, UserError
from launcher.contract import EXAMPLES, PREDICT_MODULE
from launcher.packaging.environment import install, run_module
from launcher.project import Project, build
from launcher.run_folders import newest_model


def predict(project: Project, options: PredictOptions, rest: list[str], console: Console) -> int:
    model = project.absolute(options.model) if options.model else str(newest_model(project.runs))
    prepared = project.absolute(options.job(project).data.prepared)
    rows = project.absolute(options.input) if options.input else str(Path(prepared, EXAMPLES))
    if not options.input and not Path(rows).is_file():
        raise UserError(
            f"{rows} does not exist",
            "the rows that preparing the data sets aside",
            "run nox -s prepare first, or name a file with --input",
        )
    python = install(project.training, build(project, console), console)
    console.step("predict", f"{project.shown_path(model)}, rows of {project.shown_path(rows)}")
    arguments = [PREDICT_MODULE, "--model", model, "--input", rows, *rest]
    return run_module(python, arguments, project.folder)
