"""Parameters that a rung comes too early for, and what TPE makes of them."""

import pytest

from bench.engines.proposer import OptunaProposer
from bench.engines.unseen import unseen
from bench.family import load
from bench.records import Trial
from bench.space import Choice, Fixed, Float, Int, SearchSpace, When
from bench.training.budget import rungs

IMAGES = 50_000


def of(samples, **domains):
    return unseen(SearchSpace({"learning_rate": Float(1e-3, 1e-2), **domains}), samples, IMAGES)


@pytest.mark.parametrize("name", ["mlp", "mlp_dropout", "cnn"])
def test_no_rung_of_a_built_in_family_sees_how_long_a_run_is_or_how_it_ends(name):
    space = load(name).space
    longest = space.domains["epochs"].high
    for rung in rungs(IMAGES, longest, longest):
        assert unseen(space, rung, IMAGES) == {"epochs", "cooldown"}
    assert unseen(space, float("inf"), IMAGES) == set()


def test_what_is_no_number_is_a_familys_own_and_seen():
    assert of(5_000, epochs=Int(2, 5), warm_up=Choice("none", "linear")) == set()
    assert of(5_000, epochs=Int(2, 5), cooldown=Choice("cosine", 0.5)) == set()
    assert of(5_000, epochs=Int(2, 5), cooldown=Fixed("linear")) == set()


def test_where_the_shortest_run_is_not_judged_its_length_is_seen():
    assert of(24_999, epochs=Int(1, 20)) == {"epochs"} and of(74_997, epochs=Int(2, 20)) == set()
    assert rungs(IMAGES, 2, 20) == [8_333, 24_999]


def test_what_is_seen_depends_on_when_the_rate_of_the_shortest_run_falls():
    assert of(25_000, epochs=Int(2, 5), cooldown=Float(0.0, 0.75)) == {"epochs", "cooldown"}
    assert of(25_001, epochs=Int(2, 5), cooldown=Float(0.0, 0.75)) == set()
    assert of(25_000, epochs=Choice(5, 2), cooldown=Choice(0.0, 0.75)) == {"epochs", "cooldown"}
    assert of(25_001, epochs=Choice(5, 2), cooldown=Choice(0.75, 0.0)) == set()
    assert of(66_666, epochs=Int(2, 5)) == {"epochs"}
    assert of(66_667, epochs=Int(2, 5)) == set()
    assert of(1, epochs=Int(2, 5), cooldown=Float(0.0, 1.0)) == set()
    assert of(1) == set()


def test_a_rate_that_rises_first_shows_how_long_the_run_is():
    assert of(5_000, epochs=Int(2, 5), warm_up=Float(0.0, 0.2)) == set()
    assert of(5_000, epochs=Int(2, 5), warm_up=Fixed(0.0)) == {"epochs"}


def test_a_parameter_that_others_depend_on_is_seen():
    wider = When("epochs", (5,), Int(64, 128))
    assert of(5_000, epochs=Choice(2, 5), width=wider) == set()
    falling = When("learning_rate", (0.01,), Float(0.0, 0.5))
    assert unseen(
        SearchSpace({"learning_rate": Choice(0.001, 0.01), "cooldown": falling, "epochs": Int(2, 5)}), 5_000, IMAGES
    ) == {"epochs"}


SPACE = SearchSpace({"rate": Float(0.0, 1.0), "cooldown": Float(0.0, 0.7), "epochs": Int(5, 14)})


def proposed(count, space=SPACE, reported=True):
    """What TPE proposes where the first rung prefers long cool-downs and long runs, by chance as it were."""

    def hidden(samples):
        return unseen(space, samples, IMAGES)

    asked, found = OptunaProposer(space, "tpe", 0, startup=20, unseen=hidden), []
    for number in range(count):
        config = asked.ask(number)
        found.append(config)
        value = 2 * config.get("rate", 0.0) + config["cooldown"] + config["epochs"] / 10
        curve = ((8_333, value),) if reported else ()
        state = "pruned" if reported else "complete"
        asked.tell(Trial(number, state, config, value, 8_333, curve=curve))
    return found


def test_chance_at_a_rung_does_not_fix_what_the_rung_cannot_see():
    later = proposed(80)[21:]
    assert sum(config["rate"] for config in later) / len(later) > 0.6  # that is learned
    assert {config["epochs"] for config in later} == set(range(5, 15))
    assert sum(config["cooldown"] > 0.35 for config in later) == pytest.approx(len(later) / 2, abs=12)
    assert later == proposed(80)[21:]


def ended(number, config, wanted=1):
    """Every fourth trial is complete, the better the longer it is and the later its rate falls, whatever its rung.

    Args:
        wanted: -1 where short runs and early falls are the better ones.
    """
    value = wanted * (config["epochs"] / 14 - config["cooldown"])
    curve = ((8_333, config["rate"]),)
    if number % 4:
        return Trial(number, "pruned", config, config["rate"], 8_333, curve=curve)
    return Trial(number, "complete", config, value, 8_333 * 20, curve=(*curve, (8_333 * 20, value)))


def test_what_no_rung_sees_is_learned_from_the_few_trials_that_are_complete():
    def hidden(samples):
        return unseen(SPACE, samples, IMAGES)

    def mean(name, wanted):
        found = []
        for seed in range(10):
            asked = OptunaProposer(SPACE, "tpe", seed, startup=20, unseen=hidden)
            for number in range(36):  # of which nine are complete, too few to be compared by all of their parameters
                config = asked.ask(number)
                asked.tell(ended(number, config, wanted))
                found += [config[name]] if number > 20 else []
        return sum(found) / len(found)

    assert mean("epochs", 1) > mean("epochs", -1) + 1.5
    assert mean("cooldown", 1) < mean("cooldown", -1) - 0.1
    assert mean("rate", 1) > 0.6 and mean("rate", -1) > 0.6


@pytest.mark.parametrize("fixed", [{}, {"epochs": 10}, {"epochs": 10, "cooldown": 0.2}])
def test_a_search_goes_on_the_same_whether_resumed_or_not_and_in_whatever_order_trials_end(fixed):
    space = SPACE.override(fixed)

    def hidden(samples):
        return unseen(space, samples, IMAGES)

    whole = OptunaProposer(space, "tpe", 0, startup=20, unseen=hidden)
    trials = []
    for number in range(0, 36, 6):
        some = [ended(k, whole.ask(k)) for k in range(number, number + 6)]
        trials += some
        for trial in reversed(some):
            whole.tell(trial)
    resumed = OptunaProposer(space, "tpe", 0, startup=20, unseen=hidden)
    resumed.resume(trials)
    assert resumed.ask(36) == whole.ask(36)


def test_ends_teach_all_parameters():
    later = proposed(60, reported=False)[21:]
    assert sum(config["epochs"] for config in later) / len(later) > 11


def test_a_space_of_nothing_else_is_learned_as_it_is():
    space = SearchSpace({"cooldown": Float(0.0, 0.7), "epochs": Int(5, 14), "learning_rate": Fixed(1e-3)})
    later = proposed(60, space)[21:]
    assert sum(config["epochs"] for config in later) / len(later) > 11
