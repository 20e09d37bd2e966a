"""Whether the rows of a board were made alike: equal budgets, or marked; validation minus test, or flagged. Pure, the
standard library only.

**Budgets.** The budget is the number of trials. A row is marked where it had another number than most; where all had
the same, a footnote says how far device time and samples differ, if by more than a tenth.

**Validation minus test.** The winner's validation accuracy and its test accuracy are measured on different images.
Sampling alone moves their difference by z * sqrt(v / n_validation + v / n_test), v = p (1 - p) with p the accuracy over
both: two independent binomial samples, the normal approximation. The validation images also chose the winner among the
study's trials, which lifts its validation accuracy by at most sqrt(2 ln trials) standard errors, the bound on the
expected maximum of so many normal values (they are fewer and alike in fact, so that this is generous). A difference is
implausible when it is larger than sampling allows in 999 cases of 1,000, upwards with what selection may have lifted.
That the winner is trained again on more images can only move it down.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.records import Final

ALIKE = 1.1  # device time or samples that differ by less are no news
Z999 = 3.2905267314919255  # two-sided 99.9 % quantile of the normal distribution


@dataclass(frozen=True)
class Gap:
    """Validation accuracy minus test accuracy, and the bounds within which it is plausible."""

    difference: float
    lowest: float
    highest: float

    @property
    def implausible(self) -> bool:
        return not self.lowest <= self.difference <= self.highest


def gap(final: Final, validation_images: int) -> Gap:
    """Where a final's validation accuracy stands against its test accuracy."""
    images = validation_images + final.test_images
    pooled = (final.val_accuracy * validation_images + final.test_accuracy * final.test_images) / images
    spread = pooled * (1 - pooled)
    sampling = Z999 * math.sqrt(spread / validation_images + spread / final.test_images)
    competitors = max(final.trials - final.failed, 1)
    selection = math.sqrt(2 * math.log(competitors)) * math.sqrt(spread / validation_images)
    return Gap(final.val_accuracy - final.test_accuracy, -sampling, sampling + selection)


def gap_note(name: str, found: Gap) -> str:
    """What an implausible difference means, and where to look."""
    high = found.difference > 0
    bound = found.highest if high else -found.lowest
    why = "sampling and selection allow" if high else "sampling allows"
    look = (
        "do validation images, or near copies of them, stand in train? was a seed lost? are the test images of "
        "another source?"
        if high
        else "do test images, or near copies of them, stand in train? can the validation images, which it was trained "
        "on again, be worth that much?"
    )
    side, points = "above" if high else "below", 100 * abs(found.difference)
    return (
        f"{name}: validation {side} test by {points:.2f} points, more than the {100 * bound:.2f} that {why} (99.9 %): "
        f"{look}"
    )


def usual_trials(finals: Sequence[Final]) -> int:
    """The number of trials that most had; of equally common ones the largest."""
    counts = Counter(final.trials for final in finals)
    return max(counts, key=lambda trials: (counts[trials], trials), default=0)


def budget_notes(finals: Sequence[Final], names: Mapping[str, str]) -> list[str]:
    """Sentences on budgets that were not equal, and the command that compares at equal ones.

    Args:
        names: of the finals, by id.
    """
    usual, board = usual_trials(finals), f"bench leaderboard --dataset {finals[0].dataset}" if finals else ""
    others = [f"{names[final.id]} ({final.trials})" for final in finals if final.trials != usual]
    if others:
        least = min(final.trials for final in finals)
        return [
            f"* Unequal budgets: {usual} trials, but {', '.join(others)}. `{board} --at {least}` compares at equal "
            "ones, on validation."
        ]
    seconds = {final.id: final.device_seconds for final in finals if final.device_seconds}
    samples = {final.id: final.samples for final in finals if final.samples}
    if len(finals) < 2 or len(seconds) < len(finals):
        return []
    said = [text for text in (_apart(seconds, names, "s of device time"), _apart(samples, names, "samples")) if text]
    if not said:
        return []
    fair = f" `{board} --at {max(int(min(seconds.values())), 1)}s` compares at equal time, on validation."
    return [f"Equal in trials ({usual}), but not in all: {'; '.join(said)}.{fair}"]


def _apart(amounts: Mapping[str, float], names: Mapping[str, str], unit: str) -> str:
    """'48 s (mlp) to 111 s (cnn) of device time', or nothing where they are alike."""
    if not amounts:
        return ""
    least, most = min(amounts, key=lambda one: amounts[one]), max(amounts, key=lambda one: amounts[one])
    if amounts[most] <= ALIKE * amounts[least]:
        return ""
    return f"{amounts[least]:,.0f} {unit} for {names[least]}, {amounts[most]:,.0f} for {names[most]}"
