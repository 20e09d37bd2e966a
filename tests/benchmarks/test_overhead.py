"""The benchmark of the parent's own cost still runs; what it finds is for a machine with nothing else to do."""

import overhead


def test_trials_without_training_are_timed_beside_optunas_own(tmp_path):
    found = overhead.no_op(tmp_path, 12)
    assert set(found) == {"tpe", "random"}
    for sampler in found.values():
        assert [len(taken) for name, taken in sampler.items() if name.endswith("ms a trial")] == [2, 2]
        assert all(one > 0 for name, taken in sampler.items() if name.endswith("ms a trial") for one in taken)
