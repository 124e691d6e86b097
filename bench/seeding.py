"""Messages that were sent, whose statuses come in. Made by MariaDB itself, which is quick."""

from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

from bench.stacks import Stack
from bench.webhooks import PHONE_NUMBER_ID, STATUSES, message_webhook, status_webhook

_SQL = Path(__file__).with_suffix(".sql")


def seed_sent(stack: Stack, messages: int) -> None:
    """Have so many messages accepted, shared out among the vendors in turn."""
    numbers = {"last": messages - 1, "vendors": len(stack.vendors)}
    stack.database.script(_SQL.read_text().format(**numbers, number=PHONE_NUMBER_ID))


def sent_statuses(stack: Stack, messages: int) -> Iterator[tuple[str, bytes]]:
    """Yield vendor and webhook of the three statuses of each message: first all that are sent, then
    all that are delivered, then all that are read."""
    for status in STATUSES:
        for number in range(messages):
            vendor = stack.vendors[number % len(stack.vendors)]
            wa_id = f"9991{number:08d}"
            uid = f"7f0c0000-0000-4000-8000-{number:012d}"
            wamid, own = f"wamid.BENCH{wa_id}", vendor.phone_number_ids[0]
            yield vendor.uid, status_webhook(wamid, status, wa_id, uid, own)


def customers_messages(stack: Stack, first: int = 0) -> Iterator[tuple[str, bytes]]:
    """Yield vendor and webhook of customers' messages, without end."""
    for number, vendor in enumerate(cycle(stack.vendors), first):
        sender = f"9992{number % 1000:08d}"
        own = vendor.phone_number_ids[0]
        yield vendor.uid, message_webhook(f"wamid.CUSTOMER{number:010d}", sender, number=own)


def mixed(stack: Stack, messages: int) -> list[tuple[str, bytes]]:
    """Return all statuses of so many messages, and customers' messages: one webhook in ten."""
    customers = customers_messages(stack)
    found: list[tuple[str, bytes]] = []
    for number, status in enumerate(sent_statuses(stack, messages)):
        if number % 9 == 0:
            found.append(next(customers))
        found.append(status)
    return found
