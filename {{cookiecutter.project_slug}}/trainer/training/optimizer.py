"""AdamW with one operation per variable, and its own rate, decay and epsilon for each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

BETA_1, BETA_2 = 0.9, 0.999


@dataclass(frozen=True)
class Treatment:
    """How a variable is updated: its share of the learning rate, its decay, and the epsilon of its Adam step.

    An epsilon above the usual gradients makes the steps proportional to them: what has rare gradients then moves little.
    """

    rate_factor: float = 1.0
    decay: float = 0.0
    epsilon: float = 1e-7


class FusedAdamW(keras.optimizers.Optimizer):  # type: ignore[misc]
    """AdamW (Loshchilov and Hutter 2019) through TensorFlow's own Adam operation.

    Keras spells the update out in a dozen operations per variable, which take longer to trace, and to run, than a
    small network's matrix products. `treatments` are in the order of the variables.
    """

    def __init__(self, learning_rate: Any, treatments: Sequence[Treatment]) -> None:
        super().__init__(learning_rate, name="adamw")
        self.treatments = list(treatments)

    def build(self, variables: Sequence[Any]) -> None:
        super().build(variables)
        self.means = [self.add_variable_from_reference(one, "mean") for one in variables]
        self.squares = [self.add_variable_from_reference(one, "square") for one in variables]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        number = self._get_variable_index(variable)
        treatment = self.treatments[number]
        rate = tf.cast(learning_rate, tf.float32) * treatment.rate_factor
        if treatment.decay:
            variable.assign_sub(variable * (treatment.decay * rate))
        steps = tf.cast(self.iterations.value + 1, tf.float32)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self.means[number].value.handle,
            v=self.squares[number].value.handle,
            beta1_power=tf.pow(BETA_1, steps),
            beta2_power=tf.pow(BETA_2, steps),
            lr=rate,
            beta1=BETA_1,
            beta2=BETA_2,
            epsilon=treatment.epsilon,
            grad=gradient,
        )
