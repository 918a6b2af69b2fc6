"""`nox -s predict`: predict rows with a trained model."""

from pathlib import Path

from launcher.commands.session import Session
from launcher.console import UserError
from launcher.contract import EXAMPLES, PREDICT_MODULE
from launcher.results import chosen_model
from launcher.runs import newest_model


def model_of(session: Session) -> Path:
    """Return the folder of the model that --model or --run names, else the newest run's."""
    project, options = session.project, session.options
    if options.run:
        session.refuse_beside("run", ("model",), "one of the two")
        return chosen_model(project.runs, options.run, session.job.study)
    return Path(project.absolute(options.model)) if options.model else newest_model(project.runs)


def predict(session: Session) -> int:
    project, options = session.project, session.options
    if options.url:
        session.refuse_beside("url", ("model", "run"), "one of the two")
        where, source = ["--url", options.url], options.url
    else:
        model = model_of(session)
        where, source = ["--model", str(model)], project.shown_path(model)
    examples = Path(project.absolute(session.job.data.prepared), EXAMPLES)
    rows = project.absolute(options.input) if options.input else str(examples)
    if not options.input and not examples.is_file():
        raise UserError(
            f"{rows} does not exist",
            "the rows that preparing the data sets aside",
            "run nox -s prepare first, or name a file with --input",
        )
    session.console.step("predict", f"{source}, rows of {project.shown_path(rows)}")
    quiet = ["-q"] * session.options.quiet
    arguments = [*where, "--input", rows, *quiet, *session.arguments]
    return session.run_module(project.training, PREDICT_MODULE, *arguments)
