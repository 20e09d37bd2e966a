"""KerasTuner's Hyperband, whose promotions continue trials: proposer and stopper in one, since it decides both.

KerasTuner promotes a configuration as a new trial that points to the one before. Here both are the same trial of the
study, which waits at its rung with its state saved until it is promoted, or until its round is decided without it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from bench.engines.interface import Continue, Exhausted, Verdict, seed_of
from bench.engines.kerastuner import oracles
from bench.engines.oracle import create, end, from_values, make_oracle, seed_anew, to_values
from bench.errors import UsageError
from bench.records import Trial
from bench.space import Config, Fixed, SearchSpace, When

FACTOR = 3  # of the trials of a round one in so many goes on, for so many times the epochs
LAST = -math.inf  # the score of a place that nobody holds: a trial that failed, or a round that the target cut short


class Hyperband:
    """Asks KerasTuner's Hyperband oracle, and pauses trials at its rungs.

    It owns `epochs`: every configuration gets the most that the space allows, and the rungs are that divided by powers
    of FACTOR. Once `target` configurations were proposed no bracket is filled up any further; what is there competes
    for the places.

    Args:
        longest: the most epochs that the space allows.
        train_images: samples an epoch.
        target: trials that the study shall have.
        reference: the configuration of trial 0, which is neither paused nor known to the oracle.

    Raises:
        UsageError: the space has no epochs that Hyperband could divide.
    """

    def __init__(
        self,
        space: SearchSpace,
        seed: int,
        longest: float,
        train_images: int,
        target: int,
        reference: Config | None = None,
    ) -> None:
        check_epochs(space, longest)
        epochs = int(longest)
        self._space = SearchSpace({**space.domains, "epochs": Fixed(epochs)}, narrowed=True)
        self._epochs, self._images, self._target, self._seed = epochs, train_images, target, seed
        self._reference, self._first = reference, int(reference is not None)
        # Without end: how many trials there are is the study's to say.
        self._oracle = make_oracle(
            self._space, "hyperband", seed, max_epochs=epochs, factor=FACTOR, hyperband_iterations=None
        )
        self._brackets: list[Any] = []  # all that there ever were; the oracle forgets those that are full
        self._latest: dict[int, str] = {}  # trial -> what the oracle calls it now
        self._numbers: dict[str, int] = {}
        self._waiting: set[int] = set()
        self._over: set[int] = set()
        self._closed = False

    # --- as proposer

    def ask(self, number: int) -> Config | Continue | None:
        if number < self._first:
            return dict(self._reference or {})
        while True:
            if self._closed or number >= self._target:
                self._cut()
                if not any(self._promotes(bracket, place) for bracket, place in self._rounds()):
                    if self._oracle.ongoing_trials:
                        return None
                    raise Exhausted
            seed_anew(self._oracle, seed_of(self._seed, number, "sampler"))
            trial = create(self._oracle, f"{len(self._oracle.trials):04d}")
            self._note_brackets()
            if trial.status != "RUNNING":
                self._closed = True  # no new configuration is left
                continue
            values = trial.hyperparameters.values
            if "tuner/trial_id" not in values:
                config = from_values(self._space, values)
                values.update(to_values(self._space, config))
                self._name(number, trial.trial_id)
                return config
            before = self._numbers.get(values["tuner/trial_id"])
            if before is not None and before not in self._over:
                self._name(before, trial.trial_id)
                self._waiting.discard(before)
                return Continue(before)
            end(self._oracle, trial.trial_id, LAST)

    def tell(self, trial: Trial) -> None:
        if trial.number not in self._latest:
            return
        name = self._latest[trial.number]
        if self._oracle.trials[name].status == "RUNNING":
            end(self._oracle, name, LAST if trial.state == "failed" else trial.val_accuracy)
        if trial.state == "running":
            self._waiting.add(trial.number)
        else:
            self._over.add(trial.number)

    def state_with(self, number: int) -> Mapping[str, Any]:
        return {}

    def resume(self, trials: Sequence[Trial]) -> None:
        self._note_brackets()
        own = trials[self._first :]
        for trial in own:
            # What a trial had reached when it was last paused; what came after was lost with its process.
            values = [
                value
                for samples, value in trial.curve
                if trial.state != "running" or (trial.paused and samples <= trial.samples)
            ]
            bracket = self._bracket_of(trial.curve[0][0] if values else None)
            for place, value in enumerate(values):
                self._enter(bracket, place, trial)
                end(self._oracle, self._latest[trial.number], value)
            if trial.state == "failed" or not values:
                self._enter(bracket, len(values), trial)
            if trial.state != "running" or trial.paused:
                self.tell(trial)
        if own and all(trial.state != "running" for trial in own):
            self._cut()  # the target that cut it short was reached, and is now a higher one

    # --- as stopper

    def marks(self, number: int) -> list[int]:
        """Where the trial's round ends, if that is not the end of the run."""
        if number not in self._latest:
            return []
        epochs = self._oracle.trials[self._latest[number]].hyperparameters.values["tuner/epochs"]
        return [epochs * self._images] if epochs < self._epochs else []

    def judge(self, number: int, samples: int, val_accuracy: float) -> Verdict:
        return "pause"

    def recall(self, number: int, samples: int, val_accuracy: float, went_on: bool) -> None:
        """Its oracle hears of a rung when the trial is paused there."""

    def dropped(self) -> list[int]:
        """Trials that wait, and that no later round has a place for."""
        found = []
        for bracket, place in self._rounds():
            if self._decided(bracket, place):
                names = {self._numbers.get(name) for name in self._left(bracket, place)}
                found += sorted(names & self._waiting)  # type: ignore[type-var]
        self._waiting -= set(found)
        return found  # type: ignore[return-value]

    # --- brackets: {"bracket_num": k, "rounds": [[{"past_id": ..., "id": ...}, ...], ...]}

    def _rounds(self) -> list[tuple[Any, int]]:
        """Every (bracket, place of a round) that a round follows."""
        return [(bracket, place) for bracket in self._brackets for place in range(len(bracket["rounds"]) - 1)]

    def _left(self, bracket: Any, place: int) -> list[str]:
        """Completed in this round, and not in the next."""
        now, after = bracket["rounds"][place : place + 2]
        chosen = {info["past_id"] for info in after}
        return [
            info["id"]
            for info in now
            if info["id"] not in chosen and self._oracle.trials[info["id"]].status == "COMPLETED"
        ]

    def _promotes(self, bracket: Any, place: int) -> bool:
        """KerasTuner's own rule: more are ready than will be left behind."""
        sizes = [self._oracle._get_size(bracket["bracket_num"], k) for k in (place, place + 1)]
        return bool(len(self._left(bracket, place)) > sizes[0] - sizes[1])

    def _decided(self, bracket: Any, place: int) -> bool:
        """Nobody enters this round any more, nobody runs in it, nobody leaves it for the next."""
        round_now = bracket["rounds"][place]
        full = len(round_now) >= self._oracle._get_size(bracket["bracket_num"], place)
        entered = full or (place > 0 and self._decided(bracket, place - 1))
        runs = any(self._oracle.trials[info["id"]].status == "RUNNING" for info in round_now)
        return entered and not runs and not self._promotes(bracket, place)

    def _cut(self) -> None:
        """Fill up with places that nobody holds, so that those who are there are judged among themselves.

        A bracket of one round judges nobody, and takes more whenever there are more.
        """
        for bracket in self._brackets:
            first, *later = bracket["rounds"]
            while first and later and len(first) < self._oracle._get_size(bracket["bracket_num"], 0):
                name = f"{len(self._oracle.trials):04d}"
                nobody = oracles().Trial(self._oracle.get_space(), name, "COMPLETED")
                nobody.score = LAST
                self._oracle.trials[name] = nobody
                first.append({"past_id": None, "id": name})

    def _bracket_of(self, mark: int | None) -> Any:
        """The bracket that a stored trial was in: the latest, or the next where that is full or has other rungs."""
        while True:
            bracket = self._brackets[-1]
            number, first = bracket["bracket_num"], bracket["rounds"][0]
            other = mark is not None and mark != self._oracle._get_epochs(number, 0) * self._images
            if len(first) < self._oracle._get_size(number, 0) and not other:
                return bracket
            self._cut()
            self._oracle._increment_bracket_num()
            self._oracle._start_new_bracket()
            self._note_brackets()

    def _enter(self, bracket: Any, place: int, trial: Trial) -> None:
        """Put a stored trial in a round, running."""
        number, before = bracket["bracket_num"], self._latest.get(trial.number)
        name = f"{len(self._oracle.trials):04d}"
        given = oracles().Trial(self._oracle.get_space(), name, "RUNNING")
        given.hyperparameters.values = {
            **to_values(self._space, trial.params),
            **({"tuner/trial_id": before} if before else {}),
            "tuner/epochs": self._oracle._get_epochs(number, place),
            "tuner/initial_epoch": self._oracle._get_epochs(number, place - 1) if place else 0,
            "tuner/bracket": number,
            "tuner/round": place,
        }
        self._oracle._record_values(given)
        self._oracle.trials[name] = self._oracle.ongoing_trials[name] = given
        self._oracle.start_order.append(name)
        bracket["rounds"][place].append({"past_id": before, "id": name})
        self._name(trial.number, name)

    def _name(self, number: int, name: str) -> None:
        self._latest[number], self._numbers[name] = name, number

    def _note_brackets(self) -> None:
        known = {id(bracket) for bracket in self._brackets}
        self._brackets += [bracket for bracket in self._oracle._brackets if id(bracket) not in known]


def check_epochs(space: SearchSpace, longest: float) -> None:
    """Raise UsageError where `epochs` cannot be Hyperband's."""
    ways_out = "Use another sampler, or give the space `epochs` up to 2 or more."
    declared = space.domains.get("epochs")
    if declared is None or longest < 2:
        raise UsageError(f"Sampler hyperband divides epochs, and this space has at most {longest:g}. {ways_out}")
    if isinstance(declared, When):
        raise UsageError(
            f"Sampler hyperband divides epochs, which here depend on {declared.parent!r}. Use another sampler."
        )


def bracket_sizes(longest: float) -> list[int]:
    """Configurations in each bracket of one sweep, in order, as KerasTuner fills them (`HyperbandOracle._get_size`)."""
    epochs = int(longest)
    brackets, left = 0, float(epochs)
    while left >= 1:
        left /= FACTOR
        brackets += 1
    places = math.ceil(1 + math.log(epochs, FACTOR))
    return [math.ceil(places / (number + 1) * FACTOR**number) for number in reversed(range(brackets))]


def advice(longest: float, trials: int, reference: bool) -> str | None:
    """What of a target does not fit into whole brackets, in one sentence; None where all of it does."""
    sizes = bracket_sizes(longest)
    own = trials - int(reference)
    lower, k = 0, 0
    while lower + sizes[k % len(sizes)] <= own:
        lower += sizes[k % len(sizes)]
        k += 1
    if lower == own or own <= 0:
        return None
    extra, upper = trials - own, lower + sizes[k % len(sizes)]
    fits = " or ".join(str(count + extra) for count in (lower, upper) if count)
    return (
        f"Hyperband runs brackets of {', '.join(map(str, sizes))} trials; of {trials} the last {own - lower} "
        f"make a bracket that is cut short, in which more of them go on. --trials {fits} would fit."
    )
