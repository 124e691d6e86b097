"""The states of an effect in a vendor's outbox (``sidecar/effects/outbox.py``)."""

from enum import StrEnum

from contracts.transitions import Transitions


class EffectState(StrEnum):
    """Each but ``waiting`` has a counter.

    - ``waiting``: in the outbox, for the first time or to be tried again;
    - ``done``: it has happened, or PHP knows how its message ended;
    - ``dropped``: left out, because too many wait or it is too old;
    - ``dead``: given up, among the dead letters.
    """

    WAITING = "waiting"
    DONE = "done"
    DROPPED = "dropped"
    DEAD = "dead"

    @property
    def counter(self) -> str:
        return f"effects_{self}"


_WAITING, _DONE, _DROPPED, _DEAD = EffectState

TRANSITIONS = Transitions(
    (None, _WAITING, "put_effects.lua"),
    (None, _DROPPED, "put_effects.lua"),
    (_WAITING, _WAITING, "end_effects.lua"),
    (_WAITING, _DONE, "end_effects.lua"),
    (_WAITING, _DROPPED, "end_effects.lua"),
    (_WAITING, _DEAD, "end_effects.lua"),
    (_DEAD, _WAITING, "replay_effect.lua"),
    (None, _DEAD, "import.lua"),
    (None, _DEAD, "adopt.lua"),
    (_DEAD, None, "discard.lua"),
    # Too old, too many, too large.
    (_DEAD, None, "trim.lua"),
    (_DEAD, None, "import.lua"),
    (_DEAD, None, "end_effects.lua"),
    (_DEAD, None, "commit.lua"),
)
