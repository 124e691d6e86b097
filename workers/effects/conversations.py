"""Which question of a conversation is the newest."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field

#: Maximum conversations with open questions. Beyond that the longest idle one is forgotten; if an
#: older question of it is asked too, PHP drops the answer.
MOST = 50_000


@dataclass
class _Conversation:
    put_at: int
    newest: str
    #: Questions that have not ended, and what is set when a newer one comes.
    open: dict[str, asyncio.Event] = field(default_factory=dict)


class Conversations:
    """Remembers the questions of each conversation until they have ended."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._all: OrderedDict[tuple[str, str], _Conversation] = OrderedDict()

    def __len__(self) -> int:
        return len(self._all)

    def arrived(self, vendor_uid: str, name: str, question_id: str, put_at: int) -> None:
        """Record a question. The newer of two is the one that was requested later, or else that
        arrived later. A known one stays as it is."""
        one = self._all.get((vendor_uid, name))
        if one is None:
            one = self._all[vendor_uid, name] = _Conversation(put_at, question_id)
            if len(self._all) > self._most:
                self._all.popitem(last=False)
        self._all.move_to_end((vendor_uid, name))
        if question_id in one.open:
            return
        mine = one.open[question_id] = asyncio.Event()
        if put_at < one.put_at:
            mine.set()
            return
        if one.newest != question_id and one.newest in one.open:
            one.open[one.newest].set()
        one.newest, one.put_at = question_id, put_at

    def superseded(self, vendor_uid: str, name: str, question_id: str) -> asyncio.Event:
        """Return an event that is set as soon as a newer question arrives; never for an unknown
        question."""
        one = self._all.get((vendor_uid, name))
        found = one.open.get(question_id) if one else None
        return found or asyncio.Event()

    def ended(self, vendor_uid: str, name: str, question_id: str) -> None:
        """Forget a question."""
        one = self._all.get((vendor_uid, name))
        if one is not None:
            one.open.pop(question_id, None)
            if not one.open:
                del self._all[vendor_uid, name]
