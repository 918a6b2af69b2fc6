"""The optimizer: the same steps as Keras' own AdamW, and what each variable is treated to."""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from trainer.training.optimizer import FusedAdamW, Treatment

RATE, DECAY = 0.01, 0.1
START = np.array([1.0, -2.0, 0.5], np.float32)


def after(optimizer: Any, gradients: Any) -> npt.NDArray[np.float32]:
    """Return a variable after a step on each of the gradients [steps, 3]."""
    variable = keras.Variable(START, name="kernel")
    optimizer.build([variable])
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(gradient, "float32")], [variable])
    return np.asarray(variable.numpy())


def treated(treatment: Treatment, gradients: Any) -> npt.NDArray[np.float32]:
    """Return a variable after steps of ours."""
    return after(FusedAdamW(RATE, [treatment]), gradients)


def test_the_steps_are_those_of_kerass_adamw() -> None:
    gradients = np.random.default_rng(1).normal(size=(20, 3))
    expected = after(keras.optimizers.AdamW(RATE, weight_decay=DECAY), gradients)
    found = treated(Treatment(decay=DECAY), gradients)
    assert np.allclose(found, expected, atol=1e-6)
    assert not np.allclose(treated(Treatment(), gradients), expected, atol=1e-4)


def test_a_rate_factor_moves_a_variable_as_much_further() -> None:
    once, thrice = (treated(Treatment(rate_factor=factor), [[1.0, 2.0, 3.0]]) for factor in (1, 3))
    assert np.allclose(thrice - START, 3 * (once - START), atol=1e-6)


def test_a_large_epsilon_moves_what_is_met_often_further_than_what_is_met_once() -> None:
    often, rarely = [0.01, 0.0, 0.0], [0.01, 0.01, 0.0]
    gradients = [rarely, *[often] * 50]
    small, large = (
        np.abs(treated(Treatment(epsilon=epsilon), gradients) - START) for epsilon in (1e-7, 0.01)
    )
    assert large[1] / large[0] < small[1] / small[0] / 2
    assert small[2] == large[2] == 0
