"""Looking ahead finds what asking at each step finds."""

from __future__ import annotations

from unittest.mock import patch

from hypothesis import example, given
from hypothesis import strategies as st

from recorder.instruments import GradientNorm, UpdateRatio
from recorder.reading import Facts, LayerFacts, Need, TensorFacts
from recorder.recording import lull
from recorder.recording.conductor import Conductor
from recorder.recording.lull import Lull
from recorder.recording.player import players
from recorder.schedule import AtEnd, EachEpoch, Every, Moment, Pairs, Scheduled


class Look:
    """Looks at the probe and records nothing."""

    name, statistics, needs = "look", frozenset(), frozenset({Need.PROBE})

    def declare(self, facts):
        return ()

    def measure(self, reading):
        return {}


FACTS = Facts("", (TensorFacts("w", (3,), "float32", ""),), (LayerFacts("fc", "Linear", (2,)),), probe_samples=4)
every = st.builds(Every, st.integers(1, 9), st.integers(0, 12))
pairs = st.builds(Pairs, st.integers(2, 9))
orchestras = st.tuples(
    st.one_of(every, pairs, st.builds(EachEpoch)),
    st.one_of(every, pairs),
    st.one_of(every, st.builds(EachEpoch), st.builds(AtEnd)),
)
happenings = st.lists(
    st.sampled_from(["update", "update", "update", "no update", "epoch", "thin"]), min_size=20, max_size=90
)


def seen(orchestra, happened, begun):
    """What is planned before each update and looked at after it, as a training would ask."""
    instruments = (GradientNorm(), UpdateRatio(), Look())
    scheduled = [Scheduled(schedule, one) for schedule, one in zip(orchestra, instruments, strict=True)]
    conductor = Conductor(players(scheduled, FACTS), lambda *_: None)
    looks, thin, moment, found = [], {}, Moment(begun, 0, begun, epoch_begins=True), []
    conductor.move_to(moment, thin=thin)
    for what in happened:
        if what == "thin":
            axis = conductor.players[0].axis
            thin[axis] = 2 * thin.get(axis, 1)
            continue
        if what == "epoch":
            moment = moment._replace(epoch=moment.epoch + 1, epoch_begins=True)
        elif what == "update":
            found.append((moment, conductor.plan(), [p.instrument.name for p in conductor.due]))
            moment = Moment(moment.step + 1, moment.epoch, moment.updates + 1)
        else:
            moment = Moment(moment.step + 1, moment.epoch, moment.updates)
        conductor.move_to(moment, thin=thin)
        looks.clear()
        conductor.between(moment, lambda needs: looks.append(needs) or {"activations": {}})
        found.append((moment, len(looks)))
    return found


@example((EachEpoch(), Every(7), EachEpoch()), [*4 * ["update"], "epoch", *5 * ["update"]], 0)
@given(orchestras, happenings, st.integers(0, 200))
def test_nothing_is_missed(orchestra, happened, begun):
    with patch.object(Lull, "holds", return_value=False):
        expected = seen(orchestra, happened, begun)
    assert seen(orchestra, happened, begun) == expected


@given(st.integers(0, 1000), st.sets(st.integers(0, 1200)))
def test_a_lull_ends_where_somebody_is_due(now, due):
    found = Lull()
    assert not found.holds(now)
    found.find(now, due.__contains__)
    length = next((n for n in range(1, lull.AHEAD) if now + n in due), lull.AHEAD)
    assert [m for m in range(1300) if found.holds(m)] == list(range(now, now + length))
