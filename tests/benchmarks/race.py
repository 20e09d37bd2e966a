"""Who finds what sooner: bench and each rival search the same space with their own pruning, from the same seeds.

The target is the rival's final best by the rival's own account, which is at times the best of many epochs, and its own
seconds to it are when that value was first seen. bench's are when a trial that was trained to its end had as much.
Each turn has a seed of its own, for luck is part of a search; the sides share it.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from parts import Say
from sides import Ran, Setting, fixing, rival, search
from turns import Row, Spread, compared, order

from bench.engines.assembly import longest_epochs
from bench.engines.fixed import Run, run_all
from bench.engines.interface import seed_of
from bench.family import load
from bench.workers.devices import places
from bench.workers.pool import Pool

LIMITS = {"optuna": 0.20, "keras-tuner": 0.25, "ray": 0.35}
NAMES = {"optuna": "Optuna + fit", "keras-tuner": "KerasTuner Hyperband", "ray": "Ray Tune ASHA"}
QUALITY = -0.1  # points of validation accuracy that a winner may lack
FAMILY = "cnn"


def to_best(setting: Setting, say: Say) -> list[Row]:
    trials = setting.trials or (4 if setting.short else 50)
    epochs = setting.epochs or (3 if setting.short else None)
    fixed: dict[str, Any] = {"epochs": epochs} if epochs else {}
    longest = int(longest_epochs(setting.family(FAMILY, fixed)))
    in_all = 9 if setting.short else 120
    task = setting.task(FAMILY, trials=trials, fixed=fixed, longest=longest, epochs_in_all=in_all)
    sides: dict[str, Callable[[int], Ran]] = {
        "bench": lambda seed: search(setting, FAMILY, "--trials", str(trials), "--seed", str(seed), *fixing(fixed))
    }
    for name in setting.rivals:
        for variant in setting.variants:
            precision = setting.precision if variant == "tuned" else "float32"
            told = replace(task, tuned=variant == "tuned", precision=precision)
            script = f"with_{name.replace('-', '_')}"
            sides[f"{name}, {variant}"] = lambda seed, told=told, script=script: rival(script, replace(told, seed=seed))
    say(f"to best: {trials} trials of {FAMILY}, {', '.join(sides)}")
    found: dict[str, list[Ran]] = {side: [] for side in sides}
    turns = order(list(sides), setting.repeats)
    for side, turn in turns:
        found[side].append(sides[side](setting.seed + turn))
        ran = found[side][-1]
        say(f"  {side}: {ran.best['val_accuracy']:.2%} after {ran.best['seconds']:.1f} s of {ran.seconds:.1f} s")
    fresh = confirmed(setting, found)
    rows = []
    for side in list(sides)[1:]:
        rows += _rows(side, found["bench"], found[side], fresh["bench"], fresh[side])
    return rows


def _rows(side: str, ours: list[Ran], theirs: list[Ran], fresh: list[float], others: list[float]) -> list[Row]:
    """Seconds to the rival's best, and what the winners are worth on seeds that neither has seen."""
    name, variant = side.split(", ")
    reached = [our.reached(their.best["val_accuracy"]) for our, their in zip(ours, theirs, strict=True)]
    times = sum(seconds < float("inf") for seconds in reached)
    bests = [", ".join(f"{ran.best['val_accuracy']:.2%}" for ran in side) for side in (ours, theirs)]
    note = f"reached in {times} of {len(reached)} turns; bests {bests[0]}, theirs {bests[1]}"
    seconds = [ran.best["seconds"] for ran in theirs]
    what = f"{FAMILY}, seconds to the best of {NAMES[name]}, {variant}"
    quality = [100 * (our - other) for our, other in zip(fresh, others, strict=True)]
    return [
        compared("to-best", what, reached, seconds, LIMITS[name], note),
        Row(
            "to-best",
            f"{FAMILY}, winner's validation accuracy over fresh seeds, {NAMES[name]}, {variant}",
            "%",
            Spread.of([100 * one for one in fresh]),
            Spread.of([100 * one for one in others]),
            Spread.of(quality),
            QUALITY,
            "ours less theirs, in points",
            difference=True,
        ),
    ]


def confirmed(setting: Setting, found: Mapping[str, list[Ran]]) -> dict[str, list[float]]:
    """The mean validation accuracy of each side's winner of each turn over seeds that nobody searched with.

    All are trained by the same trainer in the same precision; the same winner found twice is trained once.
    """
    winners = {str(ran.best["params"]): ran.best["params"] for side in found.values() for ran in side}
    seeds = [seed_of(setting.seed, number, "fresh") for number in range(setting.fresh_seeds)]
    runs = [
        Run(params, seed, number, 0)
        for number, (params, seed) in enumerate((params, seed) for params in winners.values() for seed in seeds)
    ]
    with Pool(places(setting.workers, [], 1), setting.sealed.folder, [], setting.scratch / "logs") as pool:
        done = run_all(runs, load(FAMILY).source, setting.precision, pool, lambda event: None) or []
    for trial in done:
        if trial.val_accuracy is None or not trial.val_accuracy > 0:
            raise SystemExit(f"A winner, trained anew, failed: {trial.params}, {trial.reason}, {trial.detail}")
    values = {
        key: statistics.mean(trial.val_accuracy or 0.0 for trial in done[k * len(seeds) : (k + 1) * len(seeds)])
        for k, key in enumerate(winners)
    }
    return {side: [values[str(ran.best["params"])] for ran in all_of_it] for side, all_of_it in found.items()}
