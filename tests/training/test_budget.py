import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bench.training.budget import Batches, epoch_marks, judged_on, losses_by_mark, rungs, steps_for


def test_rungs_start_at_a_sixth_of_an_epoch_on_large_data():
    assert rungs(60_000, 20) == [10_000, 30_000, 90_000]


def test_rungs_start_at_five_thousand_samples_on_small_data():
    assert rungs(1_198, 70) == [5_000, 15_000]
    assert rungs(1_198, 4) == []


def test_a_run_is_not_judged_in_its_last_third():
    assert rungs(6_000, 1.25) == [5_000]
    assert rungs(6_000, 1.2) == []


def test_rungs_but_the_first_lie_in_the_first_fifth_of_a_run():
    assert rungs(60_000, 7.5) == [10_000, 30_000, 90_000]
    assert rungs(60_000, 7.4) == [10_000, 30_000]
    assert rungs(60_000, 2.4) == [10_000]


def test_short_and_long_runs_of_a_space_have_their_rungs_at_the_same_places():
    assert rungs(60_000, 5, longest=15) == rungs(60_000, 15) == [10_000, 30_000, 90_000]
    assert rungs(60_000, 2, longest=15) == [10_000, 30_000]  # one at 90,000 would be in its last third


def test_marks_of_every_epoch_leave_out_the_end():
    assert epoch_marks(1_197, 4) == [1_197, 2_394, 3_591]
    assert epoch_marks(1_197, 2.5) == [1_197, 2_394]
    assert epoch_marks(1_197, 1) == []


def test_the_loss_at_a_mark_is_the_mean_over_the_steps_since_the_mark_before():
    calls = [(10, 2.0), (40, 1.0), (101, 0.5), (200, 0.25)]  # the third call is what brings 100 nominal samples
    first = (10 * 2.0 + 30 * 1.0 + 61 * 0.5) / 101
    assert losses_by_mark(calls, [100, 200]) == ((100, first), (200, 0.25))
    assert losses_by_mark(calls[:2], [100, 200]) == ()
    assert losses_by_mark(calls, []) == ()


def test_half_of_a_large_validation_set_judges_below_one_epoch():
    assert judged_on(25_000, 50_000, 10_000) == 5_000
    assert judged_on(100_000, 50_000, 10_000) == 10_000
    assert judged_on(600, 1_198, 239) == 239


@given(st.integers(1, 200), st.integers(1, 64), st.integers(1, 5), st.integers(0, 2**31))
def test_every_epoch_of_the_stream_is_a_permutation_and_every_batch_is_full(images, batch, epochs, seed):
    steps = steps_for(images * epochs, batch)
    taken = Batches(images, batch, seed).take(steps)
    assert taken.shape == (steps, batch)
    stream = taken.ravel()
    for epoch in range(epochs):
        part = stream[epoch * images : (epoch + 1) * images]
        assert sorted(part) == list(range(images))


@given(st.lists(st.integers(0, 7), min_size=1, max_size=8))
def test_the_stream_is_the_same_however_it_is_cut(pieces):
    whole = Batches(37, 5, 3).take(sum(pieces))
    batches = Batches(37, 5, 3)
    np.testing.assert_array_equal(np.concatenate([batches.take(n) for n in pieces]), whole)
