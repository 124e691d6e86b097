"""What PHP has made of messages, for comparing it with what the sidecar would have done."""

from pydantic import Field

from contracts.lenient import LenientModel, StrictModel


class ObservedMessage(StrictModel):
    """A message to look at."""

    vendor_uid: str
    wamid: str


class ObserveRequest(StrictModel):
    """Tell what is in the tables. Changes nothing."""

    messages: list[ObservedMessage] = Field(min_length=1, max_length=1000)


class Observation(LenientModel):
    """What PHP's tables say of one message.

    ``logged``: it has a row in ``whatsapp_message_logs``; then ``status``, and whether it is
    ``incoming``. ``queue_status`` is that of the campaign's row for the same contact in
    ``whatsapp_message_queue``, null where there is none (any more). ``bots`` are those that have
    answered an incoming message, in order, also by nothing but a switch; null where PHP cannot tell
    (a routine of the application's own may say so, in ``__data.sidecar.bots`` of the message's
    row). ``first_in_24h``: whether it is the contact's first message in 24 hours (of an incoming
    one). ``bots_off``: the contact has disabled replies, as of now.
    """

    vendor_uid: str
    wamid: str
    logged: bool
    incoming: bool | None = None
    status: str | None = None
    campaign_uid: str | None = None
    queue_status: int | None = None
    bots: list[str] | None = None
    first_in_24h: bool | None = None
    bots_off: bool = False


class ObserveAnswer(LenientModel):
    """One for each message, in their order. A vendor that does not exist has logged nothing."""

    messages: list[Observation]
