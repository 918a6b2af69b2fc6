"""`nox -s serve`: serve a trained model on this machine as the cloud's container does."""

import tempfile
from pathlib import Path

from launcher.commands.predict import model_of
from launcher.commands.session import Session
from launcher.contract import SERVE_MODULE


def serve(session: Session) -> int:
    model = str(model_of(session))
    session.console.step("serve", session.project.shown_path(model))
    quiet = ["-q"] * session.options.quiet
    # As in the container, the working folder has nothing that the model could need.
    with tempfile.TemporaryDirectory(prefix="serve-") as folder:
        arguments = ["--model", model, *quiet, *session.arguments]
        environment = session.project.serving
        return session.run_module(environment, SERVE_MODULE, *arguments, folder=Path(folder))
