"""Predictions of an exported model: `python -m trainer.predict --model DIR --input FILE.jsonl`.

Each line of the input is a JSON object of raw columns, and so is each line of the output. A column that is null or
absent counts as missing.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from trainer.run.errors import UserError, exit_code, shown
from trainer.run.outputs import SAVED_MODEL


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m trainer.predict", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder of an exported model")
    parser.add_argument(
        "--input", type=Path, required=True, help="JSON lines of raw columns; - for standard input"
    )
    return parser


def main(arguments: Sequence[str]) -> int:
    options = parser().parse_args(arguments)
    if not (options.model / SAVED_MODEL).is_file():
        raise UserError(
            f"{options.model} holds no model",
            f"a folder with a {SAVED_MODEL}",
            "run `nox -s local_train` first",
        )
    with opened(options.input) as file:
        rows = list(read_rows(file, str(options.input)))
    from trainer.serving import SIGNATURE, input_parameters, predictions
    from trainer.training.tensorflow_setup import start_tensorflow

    start_tensorflow(seed=0)
    parameters = input_parameters(options.model)
    check_columns(rows, parameters, str(options.input))
    import tensorflow as tf

    signature = tf.saved_model.load(str(options.model)).signatures[SIGNATURE]
    found = predictions(signature, parameters, rows)
    write_lines(json.dumps(row, ensure_ascii=False) for row in found)
    return 0


def write_lines(lines: Iterable[str]) -> None:
    """Write to standard output, and end quietly when the reader closes it."""
    try:
        for line in lines:
            print(line)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def opened(path: Path) -> TextIO:
    if str(path) == "-":
        return sys.stdin
    try:
        return path.open(encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"--input {path} cannot be read ({error.strerror})",
            "a file of JSON lines",
            "correct the path",
        ) from error


def read_rows(lines: TextIO, source: str) -> Iterator[dict[str, Any]]:
    """Yield the JSON object of each line that is not blank."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise bad_line(
                source, number, f"is not JSON ({error.msg} at column {error.colno})"
            ) from error
        if not isinstance(row, dict):
            raise bad_line(source, number, f"is {shown(line.strip())}")
        yield row


def bad_line(source: str, number: int, what: str) -> UserError:
    return UserError(
        f"{source}, line {number}, {what}", "a JSON object per line", 'write {"column": value, …}'
    )


def check_columns(
    rows: Sequence[Mapping[str, Any]], parameters: Mapping[str, str], source: str
) -> None:
    """Raise `UserError` for a row without any column of the model: its prediction would mean nothing."""
    for number, row in enumerate(rows, 1):
        if not set(row) & set(parameters):
            raise UserError(
                f"{source}, row {number}, has the columns {', '.join(map(shown, row)) or '(none)'}",
                f"columns of the model: {', '.join(map(shown, parameters))}",
                "correct the names",
            )


if __name__ == "__main__":
    sys.exit(exit_code(main, sys.argv[1:]))
