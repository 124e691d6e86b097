from simulator.cloud_api.config import CloudApiConfig
from simulator.cloud_api.customer import Customer
from simulator.cloud_api.engine import Engine
from simulator.cloud_api.ledger import Ledger
from simulator.cloud_api.message import DELIVERED, SENT, Inbound, Message
from tests.simulator.cloud_api.helpers import sent_message


def _message(callback_data: str | None = None) -> Message:
    number = Engine(CloudApiConfig()).numbers.first()
    return sent_message(number, callback=callback_data)


def test_sent_twice_counts_messages_and_not_sends() -> None:
    ledger = Ledger()
    for data in ("a", "a", "a", "b", None, None):
        ledger.accept(_message(data), 1.0)
    assert ledger.accepts == {"a": 3, "b": 1, "49151": 2}
    assert ledger.sent_twice == 2
    assert ledger.recipients == {"49151"}


def test_acknowledged_again_is_counted_once() -> None:
    ledger = Ledger()
    message = _message()
    for kind in (SENT, DELIVERED):
        ledger.create_status(message, kind, 1.9)
    for kind in (SENT, SENT, DELIVERED, SENT):
        ledger.acknowledge_status(message, kind)
    assert ledger.statuses_created == ledger.statuses_acknowledged == [1, 1, 0, 0]
    inbound = Inbound("wamid.y", message.number, Customer("49151"), "text", 1.0)
    ledger.create_inbound(inbound)
    ledger.acknowledge_inbound(inbound)
    ledger.acknowledge_inbound(inbound)
    assert ledger.inbound_acknowledged == 1


def test_timestamp_is_in_whole_seconds() -> None:
    assert Ledger().create_status(_message(), SENT, 1.9).timestamp == 1
