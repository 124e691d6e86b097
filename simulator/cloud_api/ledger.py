"""What was accepted, created and acknowledged: the truth that others are checked against."""

from typing import NamedTuple

from simulator.cloud_api.message import STATUS_NAMES, Inbound, Message, StatusUpdate


class Mishap(NamedTuple):
    """What a send met with: an error code, or the name of a fault. ``to``: where it was to go,
    where that was read."""

    at: float
    callback_data: str | None
    what: str
    to: str | None = None


class Ledger:
    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.inbound: list[Inbound] = []
        #: How often each ``biz_opaque_callback_data`` (each recipient, without) was accepted.
        self.accepts: dict[str, int] = {}
        #: How many of those were accepted more than once.
        self.sent_twice = 0
        self.recipients: set[str] = set()
        self.refused: dict[int, int] = {}
        #: Sends that were refused or hit by a fault.
        self.mishaps: list[Mishap] = []
        self.statuses_created = [0] * len(STATUS_NAMES)
        self.statuses_acknowledged = [0] * len(STATUS_NAMES)
        self.inbound_acknowledged = 0

    def accept(self, message: Message, now: float) -> None:
        message.accepted_at = now
        message.number.throughput.record(now)
        self.messages.append(message)
        self.recipients.add(message.address)
        key = message.accept_key
        accepts = self.accepts.get(key, 0) + 1
        self.accepts[key] = accepts
        if accepts == 2:
            self.sent_twice += 1

    def refuse(self, code: int) -> None:
        self.refused[code] = self.refused.get(code, 0) + 1

    def meet(self, what: str, callback_data: str | None, now: float, to: str | None = None) -> None:
        self.mishaps.append(Mishap(now, callback_data, what, to))

    def create_status(self, message: Message, kind: int, now: float) -> StatusUpdate:
        message.created |= 1 << kind
        message.times = (*message.times, (kind, int(now)))
        self.statuses_created[kind] += 1
        return StatusUpdate(message, kind, int(now))

    def create_inbound(self, inbound: Inbound) -> None:
        self.inbound.append(inbound)

    def acknowledge_status(self, message: Message, kind: int) -> None:
        if not message.acknowledged >> kind & 1:
            message.acknowledged |= 1 << kind
            self.statuses_acknowledged[kind] += 1

    def acknowledge_inbound(self, inbound: Inbound) -> None:
        if not inbound.acknowledged:
            inbound.acknowledged = True
            self.inbound_acknowledged += 1
