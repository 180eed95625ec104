"""A power cut, or a file that ends anywhere, leaves a whole prefix or one clear error, never a row nobody wrote."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.torn import Moment, film, judged

EXAMPLES = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module")
def moments() -> list[Moment]:
    """From the first row on."""
    return [moment for moment in film() if moment.appended]


def verdict(image: dict[str, bytes], moment: Moment, factory: pytest.TempPathFactory) -> str:
    outcome, why = judged(image, moment, factory.mktemp("image") / "run")
    assert outcome != "wrong", why
    return outcome


@EXAMPLES
@given(st.data())
def test_half_of_the_unsynced_pages_lost(
    moments: list[Moment], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    moment = data.draw(st.sampled_from(moments))
    verdict(moment.torn(random.Random(data.draw(st.integers(0, 1 << 30)))), moment, tmp_path_factory)


@EXAMPLES
@given(st.data())
def test_a_cut_at_any_byte_of_any_file(
    moments: list[Moment], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    moment = data.draw(st.sampled_from(moments))
    image = moment.image()
    name = data.draw(st.sampled_from(sorted(image)))
    cut = data.draw(st.integers(0, len(image[name])))
    found = verdict({**image, name: image[name][:cut]}, moment, tmp_path_factory)
    if "/log-" in name or cut == len(image[name]):
        assert found == "whole"  # a log that is cut costs its last rows, nothing else


def test_what_a_sigkill_leaves_is_whole_at_every_moment(
    moments: list[Moment], tmp_path_factory: pytest.TempPathFactory
) -> None:
    for moment in moments[:: len(moments) // 12]:
        files = {name: versions[-1] for name, versions in moment.files.items()}
        assert verdict(files, moment, tmp_path_factory) == "whole"


def test_what_was_synced_is_all_that_is_needed(moments: list[Moment], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing that was written since the last fsync of any file has arrived: the rows before are there."""
    for moment in moments[len(moments) // 3 :: len(moments) // 9]:
        files = {name: versions[0] for name, versions in moment.files.items()}
        assert verdict(files, moment, tmp_path_factory) == "whole"
