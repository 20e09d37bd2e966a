"""What stored comparisons show, looked up among many finals."""

from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import RecordError
from bench.verdicts import VERDICTS, Comparisons, Duels, verdict
from tests.test_ranking import MLP

PAIR = {"difference": 0.01, "p_holm": 0.01, "log_ratio_ci95": [-0.5, -0.1], "p_equivalence_holm": 1.0}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, ">"),
        ({"difference": -0.01}, "<"),
        ({"p_holm": 0.05}, ""),
        ({"log_ratio_ci95": [-0.5, 0.1]}, ""),  # the test of the difference alone is not enough
        ({"log_ratio_ci95": None}, ">"),  # too few errors for a ratio
        ({"difference": 0.0}, ""),
        ({"p_equivalence_holm": 0.04}, ">="),
        ({"p_holm": 0.5, "p_equivalence_holm": 0.04}, "="),
        ({"p_holm": None, "p_equivalence_holm": None}, "?"),
    ],
)
def test_a_verdict_is_what_the_adjusted_tests_and_the_interval_say(changed, said):
    assert verdict({**PAIR, **changed}) == said


@given(st.data())
def test_rows_that_are_not_separated_are_in_groups_of_which_no_two_are_separated(data):
    finals = [replace(MLP, id=name) for name in "abcdefg"]
    pairs = list(combinations(finals, 2))
    said = data.draw(st.lists(st.sampled_from([*sorted(VERDICTS), None]), min_size=len(pairs), max_size=len(pairs)))
    verdicts = {f"{a.id} {b.id}": what for (a, b), what in zip(pairs, said, strict=True) if what is not None}
    shown = data.draw(st.permutations(finals))[:5]
    duels = Duels(Comparisons(verdicts, {}))
    groups = duels.unresolved(shown)
    together = {frozenset((a.id, b.id)) for group in groups for a, b in combinations(group, 2)}
    here = {final.id for final in shown}
    level = {frozenset(key.split()) for key, what in verdicts.items() if what in ("", "=") and here >= {*key.split()}}
    assert together == level
    equal = {frozenset((a.id, b.id)) for a, b in duels.equivalent(shown)}
    assert equal == {frozenset(key.split()) for key, what in verdicts.items() if "=" in what and here >= {*key.split()}}
    sets = [{final.id for final in group} for group in groups]
    assert sets == _first_come_first_in([final.id for final in shown], level)
    best = {final.id: 1 + sum(duels.better(other, final) for other in shown) for final in shown}
    assert duels.ranks(shown) == best
    absent = {frozenset((a.id, b.id)) for a, b in duels.missing(shown)}
    assert absent == {frozenset((a, b)) for a, b in combinations(here, 2)} - {frozenset(k.split()) for k in verdicts}


def _first_come_first_in(ids, level):
    """Each pair that is in no group yet begins one; whoever is level with all in it joins, in the order of rows."""
    groups = []
    for pair in combinations(ids, 2):
        if frozenset(pair) in level and not any(group.issuperset(pair) for group in groups):
            group = set(pair)
            for one in ids:
                if one not in group and all(frozenset((one, other)) in level for other in group):
                    group.add(one)
            groups.append(group)
    return groups


@pytest.mark.parametrize("line", [b"xx", b"", b"[1]", b"null", b"[" * 100_000])
def test_a_line_that_holds_no_numbers_is_said_to_be_broken(line):
    with pytest.raises(RecordError, match="comparison of a b does not read back"):
        Comparisons({"a b": ">"}, {"a b": line})["a b"]
