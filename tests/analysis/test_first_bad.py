"""Who went bad first: by step, and within a step by what follows from what."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from recorder.analysis.first_bad import first_bad, first_bad_step
from recorder.analysis.health import Finding

MODEL = ("fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias", "a name (2 x 3)")


def finding(what, item, step):
    return Finding(what, item, step, 1.0, 0.0)


def test_the_backward_pass_reaches_the_last_tensor_first():
    found = [finding("not_finite", f"{name} gradient", 7) for name in MODEL]
    assert list(first_bad(found, MODEL)) == list(MODEL[::-1])


def test_a_weight_that_is_not_finite_comes_before_the_gradients_that_follow_from_it():
    found = [finding("not_finite", f"{name} gradient", 7) for name in MODEL]
    found += [finding("not_finite", "fc1.bias weight", 7)]
    order = first_bad(found, MODEL)
    assert list(order)[:2] == ["fc1.bias", "a name (2 x 3)"]
    assert order["fc1.bias"].item == "fc1.bias weight"


def test_an_explosion_counts_and_what_is_no_tensor_does_not():
    found = [
        finding("not_finite", "fc2.weight gradient", 9),
        finding("exploding", "fc2.weight", 5),
        finding("exploding", "fc1.weight", 4),
        finding("vanishing", "fc1.bias", 1),
        finding("loss_spike", "loss", 3),
        finding("not_finite", "relu activation", 2),
        finding("dead_units", "relu", 0),
    ]
    assert [(name, f.step, f.finding) for name, f in first_bad(found, MODEL).items()] == [
        ("fc1.weight", 4, "exploding"),
        ("fc2.weight", 5, "exploding"),
    ]
    assert first_bad_step(found) == 2
    assert first_bad_step([finding("vanishing", "fc1.bias", 1)]) is None


kinds = st.one_of(
    st.tuples(st.just("exploding"), st.sampled_from(MODEL)),
    st.tuples(st.just("not_finite"), st.sampled_from([f"{n} {w}" for n in MODEL for w in ("weight", "gradient")])),
)


@given(st.lists(st.builds(lambda k, s: finding(*k, s), kinds, st.integers(0, 9)), max_size=20), st.randoms())
def test_each_bad_tensor_is_there_once_at_its_earliest_step_in_any_order_of_findings(found, random):
    order = first_bad(found, MODEL)
    steps = [f.step for f in order.values()]
    assert steps == sorted(steps)
    for name, first in order.items():
        assert first.step == min(f.step for f in found if f.item.startswith(name))
    assert set(order) == {n for n in MODEL for f in found if f.item.startswith(n)}
    shuffled = list(found)
    random.shuffle(shuffled)
    assert list(first_bad(shuffled, MODEL)) == list(order)
