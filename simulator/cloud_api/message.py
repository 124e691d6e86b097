"""Messages that were accepted, their statuses, and customers' messages."""

from simulator.cloud_api.customer import Customer
from simulator.cloud_api.number import Number
from simulator.cloud_api.post import Acknowledgements
from simulator.cloud_api.request import SendRequest

#: Kinds of statuses, as indexes of :data:`STATUS_NAMES`; plain integers, as they are many.
SENT, DELIVERED, READ, FAILED = range(4)
STATUS_NAMES = ("sent", "delivered", "read", "failed")

#: The statuses a message goes through, in order.
Plan = tuple[int, ...]


class Message:
    """One accepted send. There may be hundreds of thousands, so this is kept small.

    ``created`` and ``acknowledged`` are bits ``1 << kind``. ``step`` is how far the plan is
    carried out, and ``times`` when each status was created (unix seconds). ``held`` is a status
    that waits to be overtaken by the next one. ``policy`` and ``lite`` are as the request has them.
    """

    __slots__ = (
        "accepted_at",
        "acknowledged",
        "callback_data",
        "created",
        "failed_code",
        "held",
        "lite",
        "number",
        "plan",
        "policy",
        "step",
        "times",
        "to",
        "type",
        "user_id",
        "wa_id",
        "wamid",
    )

    def __init__(self, wamid: str, number: Number, request: SendRequest) -> None:
        self.wamid = wamid
        self.number = number
        self.to = request.to
        self.wa_id = request.wa_id
        self.user_id = request.user_id
        self.type = request.type
        self.callback_data = request.callback_data
        self.policy = request.policy
        self.lite = request.lite
        self.accepted_at = 0.0
        self.created = 0
        self.acknowledged = 0
        self.plan: Plan = ()
        self.step = 0
        self.times: tuple[tuple[int, int], ...] = ()
        self.failed_code: int | None = None
        self.held: StatusUpdate | None = None

    @property
    def address(self) -> str:
        """The number, or the user id, that it went to."""
        return self.wa_id or self.user_id or ""

    @property
    def accept_key(self) -> str:
        """What tells that two sends are the same message."""
        return self.address if self.callback_data is None else self.callback_data


class Inbound:
    """One message from a customer."""

    __slots__ = ("acknowledged", "created_at", "customer", "number", "type", "wamid")

    def __init__(
        self, wamid: str, number: Number, customer: Customer, type_: str, now: float
    ) -> None:
        self.wamid = wamid
        self.number = number
        self.customer = customer
        self.type = type_
        self.created_at = now
        self.acknowledged = False


class StatusUpdate:
    """A status on its way. ``timestamp`` is in unix seconds."""

    __slots__ = ("kind", "message", "timestamp")

    def __init__(self, message: Message, kind: int, timestamp: int) -> None:
        self.message = message
        self.kind = kind
        self.timestamp = timestamp

    @property
    def number(self) -> Number:
        return self.message.number

    def acknowledge(self, ledger: Acknowledgements) -> None:
        ledger.acknowledge_status(self.message, self.kind)


class InboundUpdate:
    """A customer's message on its way. ``contact`` and ``body`` are JSON; some messages come
    without a contact."""

    __slots__ = ("body", "contact", "inbound")

    def __init__(self, inbound: Inbound, contact: str | None, body: str) -> None:
        self.inbound = inbound
        self.contact = contact
        self.body = body

    @property
    def number(self) -> Number:
        return self.inbound.number

    def acknowledge(self, ledger: Acknowledgements) -> None:
        ledger.acknowledge_inbound(self.inbound)


Update = StatusUpdate | InboundUpdate
