"""The states of an update."""

import pytest

from sidecar.inbox.update_states import TRANSITIONS, UpdateState

ENDS = set(UpdateState) - {UpdateState.WAITING, UpdateState.DEAD}


@pytest.mark.parametrize("end", sorted(ENDS))
def test_what_has_ended_stays_so(end: UpdateState) -> None:
    assert not any(before is end for before, _, _ in TRANSITIONS)
    assert TRANSITIONS.allows(None, end), "at once"
    assert TRANSITIONS.allows(UpdateState.WAITING, end), "or later"


def test_only_a_person_brings_a_dead_one_back() -> None:
    back = {by for before, after, by in TRANSITIONS if before is UpdateState.DEAD and after}
    assert back == {"replay.lua"}


def test_nothing_vanishes_but_from_the_dead_letters() -> None:
    assert {before for before, after, _ in TRANSITIONS if after is None} == {UpdateState.DEAD}
