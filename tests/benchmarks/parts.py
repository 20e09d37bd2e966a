"""The parts of the benchmark that do a given amount of work; `race` has the one that ends when something is found."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from sides import Ran, Setting, fixing, hold_equal, rival, search, tool
from turns import Row, Spread, compared, order

from bench.engines.proposer import OptunaProposer
from bench.space import Config

Say = Callable[[str], object]

EQUAL_WORK = {("mlp", "default"): 0.40, ("cnn", "default"): 0.50, ("cnn", "float32"): 0.80}
LOOP = 1.05
WORKERS = 0.54
PRODUCTS = 1.8


def run_in_turn(setting: Setting, sides: dict[str, Callable[[], Any]], say: Say) -> dict[str, list[Any]]:
    """What each side returned, turn by turn."""
    found: dict[str, list[Any]] = {side: [None] * max(1, 2 * setting.repeats) for side in sides}
    for side, turn in order(list(sides), setting.repeats):
        found[side][turn] = sides[side]()
        seen = found[side][turn]
        say(f"  {side}: {seen.seconds:.1f} s" if isinstance(seen, Ran) else f"  {side}: {seen}")
    return found


def equal_work(setting: Setting, say: Say) -> list[Row]:
    """The same configurations with the same epochs and no pruning, through bench and through Optuna with `fit`.

    The configurations are what bench's random sampler proposes, so the family's reference and random ones.
    """
    rows = []
    trials = setting.trials or (4 if setting.short else 12)
    epochs = setting.epochs or (2 if setting.short else 5)
    fixed = {"epochs": epochs}
    for family in setting.families[: 1 if setting.short else None]:
        configs = proposed(setting, family, fixed, trials)
        sides: dict[str, Callable[[], Ran]] = {}
        precisions = {"default": setting.precision, "float32": "float32"}
        if setting.precision == "float32":
            del precisions["default"]
        for name, precision in precisions.items():
            asked = "auto" if precision == setting.precision else precision
            arguments = ["--sampler", "random", "--pruner", "none", "--trials", str(trials), "--precision", asked]
            arguments += ["--seed", str(setting.seed), *fixing(fixed)]
            sides[f"bench, {name}"] = partial(search, setting, family, *arguments)
            if "tuned" in setting.variants:
                task = setting.task(family, precision=precision, tuned=True, fixed=fixed, configs=configs)
                sides[f"tuned, {name}"] = partial(rival, "with_optuna", task)
        if "plain" in setting.variants:
            plain = setting.task(family, fixed=fixed, configs=configs)
            sides["plain"] = partial(rival, "with_optuna", plain)
        say(f"equal work: {trials} configurations of {family}, {epochs} epochs each")
        found = run_in_turn(setting, sides, say)
        hold_equal(configs, [ran for runs in found.values() for ran in runs])
        for name, precision in precisions.items():
            ours: list[Ran] = found[f"bench, {name}"]
            for variant in setting.variants:
                theirs: list[Ran] = found["plain" if variant == "plain" else f"tuned, {name}"]
                rows.append(
                    compared(
                        "equal-work",
                        f"{family}, {precision}, against Optuna + fit, {variant}",
                        [ran.seconds for ran in ours],
                        [ran.seconds for ran in theirs],
                        EQUAL_WORK.get((family, name)) or EQUAL_WORK.get((family, "default")),
                        f"mean validation accuracy {_mean_of_ours(ours):.2%}, theirs {_mean_of_theirs(theirs):.2%}",
                    )
                )
    return rows


def proposed(setting: Setting, family: str, fixed: dict[str, Any], trials: int) -> list[Config]:
    """What bench's random sampler proposes in a study with this seed."""
    asked = setting.family(family, fixed)
    reference = dict(asked.reference) if asked.reference else None
    proposer = OptunaProposer(asked.space, "random", setting.seed, reference)
    configs = [proposer.ask(number) for number in range(trials)]
    return [config for config in configs if config is not None]


def _mean_of_ours(ran: Sequence[Ran]) -> float:
    return statistics.mean(trial.val_accuracy or 0.0 for one in ran for trial in one.trials)


def _mean_of_theirs(ran: Sequence[Ran]) -> float:
    values = [line["val_accuracy"] for one in ran for line in one.lines if "trial" in line]
    return statistics.mean(values)


def loop(setting: Setting, say: Say) -> list[Row]:
    """bench's loop against one written by hand: the reference configuration, one thread each, the same precision."""
    rows = []
    epochs = setting.epochs or (2 if setting.short else 5)
    for family in setting.families[: 1 if setting.short else None]:
        config = {**(setting.family(family, {}).reference or {}), "epochs": epochs}
        task = setting.task(family, precision=setting.precision, configs=[config])
        rivals = {"tuned": "tuned", "plain": "guide"}
        sides = {
            name: partial(rival, "with_loop", replace(task, tuned=name != "guide"), name)
            for name in ("bench", *(rivals[variant] for variant in setting.variants))
        }
        say(f"loop: the reference {family}, {epochs} epochs, {setting.precision}, one thread")
        found = run_in_turn(setting, sides, say)
        ours = found["bench"]
        for variant in setting.variants:
            theirs = found[rivals[variant]]
            note = f"validation accuracy {_best(ours):.2%}, theirs {_best(theirs):.2%}"
            what = f"{family}, {setting.precision}, against a bare loop, {variant}"
            limit = LOOP if variant == "tuned" else None
            rows.append(compared("loop", what, _work(ours), _work(theirs), limit, note))
            seconds = [[ran.best["seconds"] for ran in side] for side in (ours, theirs)]
            rows.append(compared("loop", f"{what}, imports included", *seconds))
    return rows


def _work(ran: Sequence[Ran]) -> list[float]:
    return [one.lines[-1]["work"] for one in ran]


def _best(ran: Sequence[Ran]) -> float:
    return statistics.mean(one.best["val_accuracy"] for one in ran)


def workers(setting: Setting, say: Say) -> list[Row]:
    """The same trials on one worker and on two. Equal ones: the reference, but for what the learning rate is."""
    trials = setting.trials or (4 if setting.short else 12)
    reference = dict(setting.family("cnn", {}).reference or {})
    reference["epochs"] = setting.epochs or (2 if setting.short else 3)
    rate = reference.pop("learning_rate")
    arguments = ["--sampler", "random", "--pruner", "none", "--trials", str(trials), *fixing(reference)]
    arguments += ["--range", f"learning_rate={0.9 * rate}:{1.1 * rate}", "--seed", str(setting.seed)]
    say(f"workers: {trials} equal trials of cnn, {reference['epochs']} epochs each")
    sides = {
        f"{count} workers": partial(search, setting, "cnn", *arguments, "--workers", str(count)) for count in (2, 1)
    }
    found = run_in_turn(setting, sides, say)
    two, one = ([ran.seconds for ran in found[f"{count} workers"]] for count in (2, 1))
    note = "" if setting.workers >= 2 else "this machine has one core"
    return [compared("workers", f"{trials} equal cnn trials, two workers against one", two, one, WORKERS, note)]


def flops(setting: Setting, say: Say) -> list[Row]:
    """What a search makes of what matrix products would give on as many cores at the same time."""
    trials = setting.trials or (4 if setting.short else 12)
    arguments = ["--trials", str(trials), "--seed", str(setting.seed), "--workers", str(setting.workers)]
    if setting.epochs:
        arguments += fixing({"epochs": setting.epochs})
    say(f"flops: a search of {trials} trials of cnn, {setting.workers} workers, {setting.precision}")
    sides: dict[str, Callable[[], Any]] = {
        "products": partial(tool, "products", setting.precision, str(setting.workers)),
        "bench": partial(search, setting, "cnn", *arguments),
    }
    found = run_in_turn(setting, sides, say)
    products: list[float] = found["products"]
    inside, all_of_it = [], []
    for ran in found["bench"]:
        configs = json.dumps([dict(trial.params) for trial in ran.trials])
        counted = tool("multiply_adds", str(setting.sealed.folder), "cnn", told=configs)
        operations = sum(each * trial.samples for each, trial in zip(counted, ran.trials, strict=True)) / 1e9
        inside.append(operations * setting.workers / sum(trial.seconds.train for trial in ran.trials))
        all_of_it.append(operations / ran.seconds)
    rows = []
    for what, reached in (("while it trains", inside), ("over all of the command", all_of_it)):
        ratios = [product / one for product, one in zip(products, reached, strict=True)]
        rows.append(
            Row(
                "flops",
                f"matrix products over training, cnn, {setting.precision}, {what}",
                "GFLOP/s",
                Spread.of(reached),
                Spread.of(products),
                Spread.of(ratios),
                PRODUCTS,
                f"{setting.workers} cores",
            )
        )
    return rows
