"""Starts TensorFlow: quiet, on all cores, with every random state from one seed."""

import gc
import importlib
import os
import sys
from typing import TYPE_CHECKING

from trainer.run.cluster import ClusterPosition
from trainer.run.console import suppressed_stderr

if TYPE_CHECKING:
    from trainer.training.distribution import Replicas


def start_tensorflow(seed: int, position: ClusterPosition | None = None) -> "Replicas":
    """Import TensorFlow without its start-up output, set threads and random states, and connect to the other replicas."""
    import_tensorflow()
    with suppressed_stderr():
        import keras

        from trainer.training.distribution import replicas_of

        use_all_cores()
        # Before anything is computed: collective operations cannot be set up later.
        replicas = replicas_of(position or ClusterPosition())
        # TensorFlow may add numbers in an order that depends on the names of layers, which Keras counts in each process.
        keras.utils.clear_session()
        keras.utils.set_random_seed(seed)
    return replicas


def import_tensorflow() -> None:
    """Import TensorFlow quietly, and without Python's search for garbage among its objects, a quarter of the time of a start."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if "keras" not in sys.modules:
        gc.disable()
        with suppressed_stderr():
            importlib.import_module("keras")
        gc.freeze()
        gc.enable()


def use_all_cores() -> None:
    """Give each core a part of the batch instead of a part of each operation.

    Small matrix products gain nothing from several threads each, but independent parts of a batch run side by side.
    """
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(cores())


def device_names() -> list[str]:
    """Return the devices that TensorFlow sees, such as `CPU:0` or `GPU:1`."""
    import tensorflow as tf

    devices = tf.config.list_physical_devices()
    return [device.name.removeprefix("/physical_device:") for device in devices]


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
