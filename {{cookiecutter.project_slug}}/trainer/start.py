"""Starts TensorFlow: quiet, on all cores, with every random state from one seed."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


def start_tensorflow(seed: int) -> None:
    """Import TensorFlow without its start-up chatter and set threads and random states."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with chatter_withheld():
        import keras

        from trainer.learner import use_all_cores

        use_all_cores()
        keras.utils.set_random_seed(seed)


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
        except BaseException:
            withheld.seek(0)
            os.write(original, withheld.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(original, 2)
            os.close(original)
