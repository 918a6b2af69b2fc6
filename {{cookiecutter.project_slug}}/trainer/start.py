"""Starts TensorFlow: quiet, on all cores, with every random state from one seed."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from trainer.cluster import Place
from trainer.errors import UserError

if TYPE_CHECKING:
    from trainer.replicas import Replicas


def start_tensorflow(seed: int, place: Place | None = None) -> "Replicas":
    """Import TensorFlow without its start-up chatter, set threads and random states, and meet the other replicas."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with chatter_withheld():
        import keras

        from trainer.learner import use_all_cores
        from trainer.replicas import replicas_of

        use_all_cores()
        # Before anything is computed: collective operations cannot be set up later.
        replicas = replicas_of(place or Place())
        keras.utils.set_random_seed(seed)
    return replicas


@contextmanager
def chatter_withheld() -> Iterator[None]:
    """Withhold what is written to standard error, and show it only if an exception says that it may matter.

    TensorFlow's C++ side writes before its own log level applies, so nothing milder silences it.
    """
    with tempfile.TemporaryFile() as withheld:
        original = os.dup(2)
        os.dup2(withheld.fileno(), 2)
        try:
            yield
        except UserError:  # says it better
            raise
        except BaseException:
            withheld.seek(0)
            os.write(original, withheld.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(original, 2)
            os.close(original)
