"""Checkpoints that survive a kill while one is written: a file each, with its own checksum; the last two are kept.

A file is the SHA-256 of its payload, a line feed, and the payload, an uncompressed NumPy archive. A file whose checksum
does not match is skipped, so nothing depends on renames being atomic, which Cloud Storage FUSE does not promise.
"""

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.run.errors import UserError

KEPT = 2
SUFFIX = ".checkpoint"

Arrays = Sequence[npt.NDArray[Any]]


@dataclass
class State:
    """How far a run is; with the trainer's arrays, all that a checkpoint holds."""

    window_groups: int = 0
    epoch: int = 0
    window: int = 0
    step_in_window: int = 0
    step: int = 0
    rows: int = 0
    train_seconds: float = 0.0
    total_seconds: float = 0.0
    stale_evaluations: int = 0
    history: list[dict[str, float]] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """Return what metrics.json holds about the length and pace of a run."""
        return {
            "steps": self.step,
            "epochs": self.epoch,
            "rows_per_second": round(self.rows / max(self.train_seconds, 1e-9), 1),
            "history": self.history,
        }


def save(folder: Path, step: int, arrays: Arrays, state: dict[str, Any]) -> Path:
    """Write the arrays and the JSON-able state of `step`; drop all but the newest checkpoints."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{step:010d}{SUFFIX}"
    partial = path.with_suffix(".partial")
    try:
        with partial.open("wb") as file:
            file.write(packed(arrays, state))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        with contextlib.suppress(OSError):  # on a full disk it only takes room
            partial.unlink()
        raise
    for old in sorted(folder.glob(f"*{SUFFIX}"))[:-KEPT]:
        old.unlink()
    return path


def newest(
    folder: Path, warn: Callable[[str], None]
) -> tuple[list[npt.NDArray[Any]], dict[str, Any]] | None:
    """Return arrays and state of the newest valid checkpoint in `folder`, or None if it holds none; warn of invalid ones.

    Raises `UserError` if all are invalid.
    """
    paths = sorted(folder.glob(f"*{SUFFIX}"), reverse=True)
    for path in paths:
        with contextlib.suppress(OSError):
            content = unpacked(path.read_bytes())
            if content is not None:
                return content
        warn(
            f"{path} is corrupted or cannot be read, and is skipped; an earlier checkpoint is used if there is one"
        )
    if paths:
        raise UserError(
            f"none of the {len(paths)} checkpoints in {folder} can be read",
            "at least one that is valid",
            "remove that folder to start over, or name another --job-dir",
        )
    return None


def packed(arrays: Arrays, state: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    text = np.frombuffer(json.dumps(state).encode(), np.uint8)
    named: dict[str, Any] = {f"array_{index}": array for index, array in enumerate(arrays)}
    np.savez(buffer, state=text, **named)
    payload = buffer.getvalue()
    return hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload


def unpacked(content: bytes) -> tuple[list[npt.NDArray[Any]], dict[str, Any]] | None:
    """Return arrays and state from the content of a checkpoint file, or None if it is corrupted."""
    checksum, _, payload = content.partition(b"\n")
    if hashlib.sha256(payload).hexdigest().encode() != checksum:
        return None
    with np.load(io.BytesIO(payload), allow_pickle=False) as archive:
        state = json.loads(archive["state"].tobytes())
        return [archive[f"array_{index}"] for index in range(len(archive.files) - 1)], state
