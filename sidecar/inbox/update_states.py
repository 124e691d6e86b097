"""The states of an update, from when it is split out of a webhook that waits in the inbox."""

from enum import StrEnum

from contracts.transitions import Transitions


class UpdateState(StrEnum):
    """The value is the name of its counter; what waits is counted for each lane by itself.

    - ``waiting``: to be tried again, behind an earlier one of its contact or message, or for its
      send to be recorded;
    - ``done``: PHP has applied it;
    - ``ignored``: PHP has nothing to do with it;
    - ``duplicate``: PHP has it, or another of the same batch is the same;
    - ``coalesced``: a higher status of its message takes it along;
    - ``dead``: given up, among the dead letters.
    """

    WAITING = "waiting"
    DONE = "done"
    IGNORED = "ignored"
    DUPLICATE = "duplicates"
    COALESCED = "coalesced"
    DEAD = "dead"


_WAITING, _DONE, _IGNORED, _DUPLICATE, _COALESCED, _DEAD = UpdateState

TRANSITIONS = Transitions(
    (None, _WAITING, "commit.lua"),
    (None, _DONE, "commit.lua"),
    (None, _IGNORED, "commit.lua"),
    (None, _DUPLICATE, "commit.lua"),
    (None, _COALESCED, "commit.lua"),
    (None, _DEAD, "commit.lua"),
    (_WAITING, _WAITING, "commit.lua"),
    (_WAITING, _DONE, "commit.lua"),
    (_WAITING, _IGNORED, "commit.lua"),
    (_WAITING, _DUPLICATE, "commit.lua"),
    (_WAITING, _COALESCED, "commit.lua"),
    (_WAITING, _DEAD, "commit.lua"),
    (_DEAD, _WAITING, "replay.lua"),
    (None, _DEAD, "import.lua"),
    (None, _DEAD, "adopt.lua"),
    (_DEAD, None, "discard.lua"),
    # Too old, too many, too large.
    (_DEAD, None, "trim.lua"),
    (_DEAD, None, "import.lua"),
    (_DEAD, None, "end_effects.lua"),
    (_DEAD, None, "commit.lua"),
)
