"""The replicas that train one model together: processes of a cluster, the GPUs of a machine, or the cores of a TPU."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from trainer.run.cluster import ClusterPosition
from trainer.run.console import delayed_stderr
from trainer.run.errors import UserError

FAILURES = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
    tf.errors.UnavailableError,
)
SERVER_FAILED = "Could not start gRPC server"


class Replicas:
    """Runs steps on all replicas in parallel, and exchanges values between their processes."""

    def __init__(self, position: ClusterPosition, strategy: Any = None) -> None:
        self.position = position
        self.strategy = strategy or tf.distribute.get_strategy()  # the default one, of one replica

    @property
    def count(self) -> int:
        return int(self.strategy.num_replicas_in_sync)

    def index(self) -> Any:
        context = tf.distribute.get_replica_context()
        return tf.cast(context.replica_id_in_sync_group, tf.int64)

    @contextlib.contextmanager
    def replica_failures_reported(self) -> Iterator[None]:
        """Turn the failure of a collective operation into a `UserError`."""
        if self.position.count == 1:
            yield
            return
        with delayed_stderr():
            try:
                yield
            except FAILURES as error:
                failure = type(error).__name__.removesuffix("Error")
                raise UserError(
                    f"a replica failed or cannot be reached ({failure})",
                    "every replica to run until the end",
                    "look for the replica that ended first; the same command resumes from the last checkpoint",
                ) from error

    def summed(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the sum of float64 `values` of any shape over the processes, equal on each of them to the last bit."""
        if self.position.count == 1:
            return values
        with self.replica_failures_reported():
            return np.asarray(self._summed(tf.constant(values)).numpy())

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def _summed(self, values: Any) -> Any:
        totals = self.strategy.run(self._total, (values,))
        return self.strategy.experimental_local_results(totals)[0]

    def _total(self, values: Any) -> Any:
        """Return the sum over all replicas, of which a process with several GPUs counts once."""
        first_of_process = self.index() % (self.count // self.position.count) == 0
        own = tf.where(first_of_process, values, tf.zeros_like(values))
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, own)

    def gathered(self, value: float) -> list[float]:
        """Return the `value` of each process, so that all can decide alike."""
        values = np.zeros(self.position.count)
        values[self.position.index] = value
        return [float(gathered) for gathered in self.summed(values)]


def replicas_of(position: ClusterPosition) -> Replicas:
    """Return the replicas of this job. Call it before anything is computed."""
    if position.count > 1:
        return Replicas(position, strategy_of_workers(position))
    if tf.config.list_physical_devices("TPU"):
        return Replicas(position, tpu_strategy())
    if len(tf.config.list_physical_devices("GPU")) > 1:
        return Replicas(position, tf.distribute.MirroredStrategy())
    return Replicas(position)


def strategy_of_workers(position: ClusterPosition) -> Any:
    """Connect to the other processes of the job; raise `UserError` if the port of this one is taken."""
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except tf.errors.UnknownError as error:
        if SERVER_FAILED not in error.message:
            raise
        raise UserError(
            f"replica {position.index} cannot listen at its address in TF_CONFIG",
            "a port of this machine that no other program uses",
            "end that program, or run the same command again: it may choose another port",
        ) from error


def tpu_strategy() -> Any:
    resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu="local")
    tf.config.experimental_connect_to_cluster(resolver)
    tf.tpu.experimental.initialize_tpu_system(resolver)
    return tf.distribute.TPUStrategy(resolver)
