"""The states of a claimed row, as they stand in the ledger."""

import pytest

from sidecar.sending.row_states import TRANSITIONS, RowState, dump, load


@pytest.mark.parametrize("state", RowState)
@pytest.mark.parametrize("more", ["", "110", '{"error":"a:b"}'])
def test_what_is_written_is_read_again(state: RowState, more: str) -> None:
    written = dump(state, "claim-1", *([more] if more else []))
    assert load(written) == (state, "claim-1", more)
    assert written.startswith(state.letter + b":")


def test_a_letter_that_is_none_is_no_state() -> None:
    with pytest.raises(ValueError, match="x"):
        load(b"x:claim-1")


def test_letters_tell_states_apart() -> None:
    assert len({state.letter for state in RowState}) == len(RowState)


def test_a_claim_takes_over_nothing_that_may_have_been_sent() -> None:
    assert TRANSITIONS.after(RowState.SENDING, "claimed.lua") is None
    assert TRANSITIONS.after(RowState.CLAIMED, "claimed.lua") is RowState.CLAIMED


def test_a_row_leaves_the_ledger_in_one_way() -> None:
    """Once PHP knows of it."""
    assert {before for before, after, _ in TRANSITIONS if after is None} == set(RowState)
    assert {by for _, after, by in TRANSITIONS if after is None} == {"settled.lua"}
