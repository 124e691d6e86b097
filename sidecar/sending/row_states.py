"""The states of a claimed row in the ledger (``workers/sending/ledger.py``).

A state stands in Redis as its letter, the claim that it belongs to, and more, separated by colons.
``sidecar/redis/lua/sending/ledger_rows.lua`` knows the same letters.
"""

from enum import StrEnum

from contracts.transitions import Transitions


class RowState(StrEnum):
    """- ``claimed``: PHP has given it out, and it was certainly not sent;
    - ``sending``: written right before the call; after a crash nobody can tell whether it was sent;
    - ``known``: the call is over, and PHP is to be told of its outcome.
    """

    CLAIMED = "c"
    SENDING = "s"
    KNOWN = "k"

    @property
    def letter(self) -> bytes:
        return self.value.encode()


class RowEnd(StrEnum):
    """How a row has left the ledger, and the counter that says so. ``released``: back to PHP's
    queue, not sent; the others are what PHP was told (:class:`contracts.backend.SendOutcome`)."""

    ACCEPTED = "accepted"
    FAILED = "failed"
    REQUEUED = "requeued"
    UNKNOWN = "unknown"
    RELEASED = "released"


_CLAIMED, _SENDING, _KNOWN = RowState

TRANSITIONS = Transitions(
    (None, _CLAIMED, "claimed.lua"),
    # A claim of a row that was certainly not sent under an earlier one.
    (_CLAIMED, _CLAIMED, "claimed.lua"),
    (_KNOWN, _CLAIMED, "claimed.lua"),
    # A reply comes from the outbox, and nobody has claimed it.
    (None, _SENDING, "begin.lua"),
    (_CLAIMED, _SENDING, "begin.lua"),
    (_SENDING, _SENDING, "begin.lua"),
    # A reply that was not sent is in the outbox again; Redis was away when it was to be dropped.
    (_KNOWN, _SENDING, "begin.lua"),
    # Redis has gone back in time: it may have been sent since.
    (None, _SENDING, "compared.lua"),
    (_CLAIMED, _SENDING, "compared.lua"),
    (_KNOWN, _SENDING, "compared.lua"),
    (_CLAIMED, _CLAIMED, "set_state.lua"),
    (_SENDING, _CLAIMED, "set_state.lua"),
    # It fails without a call, or is left to PHP's queue.
    (_CLAIMED, _KNOWN, "set_state.lua"),
    (_SENDING, _KNOWN, "set_state.lua"),
    (_KNOWN, _KNOWN, "set_state.lua"),
    (_CLAIMED, None, "settled.lua"),
    # PHP has the outcome, and Redis was away when it was to be written down.
    (_SENDING, None, "settled.lua"),
    (_KNOWN, None, "settled.lua"),
)


def dump(state: RowState, claim_uid: str, *more: str) -> bytes:
    """Return a state as it stands in the ledger. The last word may hold colons."""
    return ":".join((state, claim_uid, *more)).encode()


def load(value: bytes) -> tuple[RowState, str, str]:
    """Return the state, its claim, and what stands behind it."""
    letter, _, rest = value.decode().partition(":")
    claim_uid, _, more = rest.partition(":")
    return RowState(letter), claim_uid, more
