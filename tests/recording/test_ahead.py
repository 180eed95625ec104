"""Looking ahead finds what asking at each step finds."""

from __future__ import annotations

from unittest.mock import patch

from hypothesis import example, given
from hypothesis import strategies as st

from recorder.instruments import GradientNorm, UpdateRatio
from recorder.reading import Facts, LayerFacts, Need, TensorFacts
from recorder.recording.ahead import MOST, Ahead
from recorder.recording.conductor import Conductor
from recorder.recording.player import players
from recorder.schedule import AtEnd, EachEpoch, EpochEnds, Every, Moment, Pairs, Scheduled


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
    st.one_of(every, pairs, st.builds(EachEpoch), st.builds(EpochEnds)),
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
    with patch.object(Ahead, "at", lambda self, moment: self._find(moment)):
        expected = seen(orchestra, happened, begun)
    assert seen(orchestra, happened, begun) == expected


@given(st.integers(0, 1000), st.lists(st.tuples(st.sampled_from([0, 1, 1, 1, 50]), st.booleans()), max_size=100))
def test_what_is_kept_is_what_is_found(first, walk):
    asked, now, version = [], first, 0
    ahead = Ahead(lambda moment: asked.append(moment) or (moment, version))
    for steps, changes in walk:
        if changes:
            version += 1
            ahead.forget()
        now += steps
        assert ahead.at(now) == (now, version)


def test_each_moment_is_asked_about_once():
    asked = []
    ahead = Ahead(asked.append)
    for moment in range(1000):
        ahead.at(moment)
    assert asked == list(range(len(asked)))
    assert 1000 <= len(asked) < 1000 + MOST
