"""Timing of complete processes: `alternate` runs each variant once per round, so that all see the same disturbances."""

import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LINES_SHOWN = 12
# The last ones are for the installations of a smoke test.
KEPT_VARIABLES = (
    "PATH",
    "HOME",
    "TMPDIR",
    "LANG",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
)


class BenchmarkFailed(Exception):
    """What is wrong, what was expected, and how to fix it."""

    def __init__(self, problem: str, expected: str, remedy: str) -> None:
        super().__init__(f"{problem}; expected {expected}; {remedy}")


@dataclass(frozen=True)
class Sample:
    """One run of a program: wall time, peak memory, and the JSON object of its last output line.

    The peak memory is never below that of the parent process, from which the program was forked.
    """

    seconds: float
    peak_mb: float
    report: Mapping[str, Any]


@dataclass(frozen=True)
class Spread:
    """Median, minimum and maximum of repeated measurements."""

    median: float
    low: float
    high: float
    values: tuple[float, ...] = ()


def run(command: Sequence[object], folder: Path) -> Sample:
    """Run `command` in `folder` and measure it; raise `BenchmarkFailed` with its last lines if it fails."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=folder,
            stdout=output,
            stderr=errors,
            env=variables(),
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        texts = [text_of(stream) for stream in (output, errors)]
    if process.returncode:
        shown = "\n".join("\n".join(texts).splitlines()[-LINES_SHOWN:])
        raise BenchmarkFailed(
            f"{shown}\n{' '.join(map(str, command))} ended with exit code {process.returncode}",
            "every program of the benchmark to end with 0",
            f"run it by itself in {folder}",
        )
    return Sample(seconds, usage.ru_maxrss / 1024, last_object(texts[0]))


def variables() -> dict[str, str]:
    """Return the environment variables of a measured program: none of Python's or nox's own."""
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    return {**kept, "TF_CPP_MIN_LOG_LEVEL": "2"}


def text_of(stream: Any) -> str:
    stream.seek(0)
    return str(stream.read().decode(errors="replace"))


def last_object(text: str) -> dict[str, Any]:
    """Return the JSON object on the last line of `text`, or an empty one."""
    last = text.strip().rpartition("\n")[2]
    try:
        found = json.loads(last)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def alternate(variants: Mapping[str, Callable[[], Sample]], rounds: int) -> dict[str, list[Sample]]:
    """Return `rounds` samples of each variant, in alternating rounds after one warm-up run each.

    A single round only tests that the programs work, and skips the warm-up.
    """
    samples: dict[str, list[Sample]] = {name: [] for name in variants}
    for number in range(0 if rounds > 1 else 1, rounds + 1):
        for name, measured in variants.items():
            sample = measured()
            print(f"  {name:32s} round {number}: {sample.seconds:7.2f} s", flush=True)
            if number:
                samples[name].append(sample)
    return samples


def spread(values: Sequence[float]) -> Spread:
    return Spread(statistics.median(values), min(values), max(values), tuple(values))
