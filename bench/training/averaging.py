"""The mean of a model's weights on a stretch of its run, to be judged in place of the last ones.

At its full learning rate a run jumps about the valley that the cool-down will lead it into, so that its last weights
tell more of the rate than of where the run will end. Their mean over a stretch lies further down (Polyak and Juditsky
1992; Izmailov et al. 2018), about where a cool-down at this point would lead (Hägele et al. 2024), and costs next to
nothing.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

import keras
import numpy as np


class Average:
    """Takes up a model's trainable weights whenever it is told; while it is entered the model has their mean.

    What is not trained is left as it is: batch normalisation's moving statistics are means already, and with a momentum
    of 0.99 those of the first steps are still far behind.
    """

    def __init__(self, model: Any) -> None:
        self._variables = [one for one in model.trainable_variables if keras.backend.is_float_dtype(one.dtype)]
        self._sums = [np.zeros(tuple(one.shape), np.float32) for one in self._variables]
        self._last: list[Any] = []
        self._count = 0

    def add(self) -> None:
        """Take up the weights as they are now."""
        for total, one in zip(self._sums, self._variables, strict=True):
            total += np.asarray(keras.ops.convert_to_numpy(one), np.float32)
        self._count += 1

    def __enter__(self) -> None:
        self._last = [np.array(keras.ops.convert_to_numpy(one)) for one in self._variables]
        for total, one in zip(self._sums, self._variables, strict=True):
            one.assign(total / self._count)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for one, value in zip(self._variables, self._last, strict=True):
            one.assign(value)
