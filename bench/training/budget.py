"""How long a configuration trains, counted in samples so that batch sizes can be compared.

A run draws from a stream of permutations of the training set, and every batch is full: a batch may end one permutation
and begin the next. `epochs` epochs of n images are therefore ceil(epochs * n / batch_size) steps; where the batch size
divides n this is what Keras's `fit` does, elsewhere `fit` ends each epoch with a shorter batch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

REDUCTION = 3  # each rung is this many times the one before, and a third goes on; Li et al. 2018 (Hyperband) use 3
FIRST = 6  # the first rung is this fraction of an epoch
RUNGS = 3  # at most; what passes all is trained to its end, where the learning rate has fallen
# Rungs but the first lie in this fraction of the longest run: seen on cnn, whose third rung at a quarter of it ranked
# those that had come so far no better than their seeds do.
EARLY = 5
LEAST = 5_000  # samples before a first judgement; with fewer, a warm-up looks like a bad configuration


def rungs(train_images: int, epochs: float, longest: float | None = None) -> list[int]:
    """Nominal sample counts at which a run is judged before its end, the same for every batch size.

    The first is a sixth of an epoch, but at least 5,000 samples; there are three at most, the later ones in the first
    fifth of the longest run, none where `has_rung` says no.

    Args:
        longest: epochs of the longest run that it is compared with; those of the run itself when None or fewer.
    """
    first, most = max(train_images // FIRST, LEAST), train_images * max(longest or 0.0, epochs)
    marks = [first * REDUCTION**k for k in range(RUNGS)]
    marks = [mark for mark in marks if mark == first or EARLY * mark <= most]
    return [mark for mark in marks if has_rung(mark, epochs * train_images)]


def has_rung(mark: float, samples: float) -> bool:
    """Whether a run of so many samples may be judged at `mark`: a stop in its last third would save little."""
    return 3 * mark <= 2 * samples


def epoch_marks(train_images: int, epochs: float) -> list[int]:
    """Nominal sample counts at which a run is judged that is looked at after every epoch; its end is no mark."""
    return [train_images * epoch for epoch in range(1, math.ceil(epochs))]


def losses_by_mark(
    calls: Sequence[tuple[int, float]], marks: Sequence[int], since: int = 0
) -> tuple[tuple[int, float], ...]:
    """(mark, mean loss since the mark before) from (samples so far, mean loss) of every graph call after `since`.

    The call that reaches a mark is the last before the judgement there; no call goes on over it.
    """
    found, waiting = [], list(marks)
    total, begun, before = 0.0, since, since
    for samples, loss in calls:
        total += loss * (samples - before)
        before = samples
        if waiting and samples >= waiting[0]:
            found.append((waiting.pop(0), total / (samples - begun)))
            total, begun = 0.0, samples
    return tuple(found)


def judged_on(samples: int, train_images: int, validation_images: int) -> int:
    """How many validation images judge a rung: below one epoch half of a large set, where seeds differ by more."""
    small = samples < train_images and validation_images >= 2 * LEAST
    return validation_images // 2 if small else validation_images


def steps_for(samples: int, batch_size: int) -> int:
    """Steps until at least `samples` images have been seen."""
    return math.ceil(samples / batch_size)


class Batches:
    """The stream of batches: indices into the training images, shape (steps, batch_size), int32.

    Args:
        images: n, the number of training images.
        batch_size: images a step.
        seed: the same seed gives the same stream, however it is cut into pieces.
    """

    def __init__(self, images: int, batch_size: int, seed: int) -> None:
        self._batch_size = batch_size
        self._pending = np.empty(0, np.int32)
        self._permutations = self._permute(images, seed)

    @staticmethod
    def _permute(images: int, seed: int) -> Iterator[npt.NDArray[np.int32]]:
        generator = np.random.default_rng(seed)
        while True:
            yield generator.permutation(images).astype(np.int32)

    def take(self, steps: int) -> npt.NDArray[np.int32]:
        """The next `steps` batches."""
        needed = steps * self._batch_size
        parts = [self._pending]
        held = len(self._pending)
        while held < needed:
            parts.append(next(self._permutations))
            held += len(parts[-1])
        stream = np.concatenate(parts)
        self._pending = stream[needed:]
        return stream[:needed].reshape(steps, self._batch_size)
