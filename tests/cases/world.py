"""An installation that gets webhooks as they occur in the wild, and what becomes of them."""

import asyncio
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson

from contracts.bots import TriggerType
from contracts.effects import AiProvider, ForwardTarget
from sidecar.ops.accounting import Accounting, Counters
from sidecar.redis.client import connect
from simulator.backend.seed import SeededVendor
from simulator.backend.seed_bots import SeedBot
from simulator.control import lines
from simulator.installation import Installation
from simulator.processes import Process, python

PAYLOADS = Path(__file__).parent / "payloads"
PHONE_NUMBER_ID = "106540352242922"
PRICE = "It costs 10 EUR."
WAIT_S = 30.0

#: The payloads' time; it becomes a minute ago.
_THEN = re.compile(rb"17958700(\d\d)")


@dataclass
class Seen:
    """What there is of one customer or message. ``rows`` of the log with their contacts; ``sent``
    to the Cloud API; ``asked`` the AI; ``forwarded`` to the vendor's own webhook, as it came."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    contacts: list[dict[str, Any]] = field(default_factory=list)
    sent: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    forwarded: list[str] = field(default_factory=list)


class World:
    """One vendor with a bot on "price", one on "stop" (no more campaigns), an AI, and a webhook of
    its own."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.vendor: SeededVendor
        self.ai: Process
        self.webhook: Process
        self._stuck = 0

    def start(self) -> None:
        installation = self.installation
        installation.configure(
            outbound_allow="127.0.0.0/8", reconcile_interval_s=0.2, update_retry_first_ms=100
        )
        installation.start_redis()
        installation.start_backend()
        [self.vendor] = installation.seed_vendors(phone_number_ids=[PHONE_NUMBER_ID])
        installation.seed_bots(
            self.vendor.uid,
            [
                SeedBot(TriggerType.CONTAINS, "price", PRICE),
                SeedBot(TriggerType.STOP_PROMOTIONAL, "stop", "You will get no more offers."),
            ],
        )
        self.ai = installation.start_ai(0.0)
        self.webhook = installation.add(
            Process(
                "vendor-webhook",
                python("simulator", "vendor-webhook", "--port", "{port}"),
                installation.folder / "vendor-webhook.log",
            )
        )
        installation.seed_effects(
            self.vendor.uid,
            ai=AiProvider(name="ai", url=f"{self.ai.url}/v1", api_key="k", model="m"),
            forward=ForwardTarget(url=f"{self.webhook.url}/hook"),
        )
        installation.start_sidecar()
        installation.start_cloud_api(
            *("--phone-number-id", PHONE_NUMBER_ID),
            *("--webhook-url", installation.webhook_url(self.vendor.uid)),
        )
        installation.start_worker("messages", "statuses", "effects")

    # -- what comes in --

    def case(self, name: str) -> None:
        """Post one of the payloads, as if it were of a minute ago, and wait for what comes of
        it."""
        [path] = PAYLOADS.glob(f"{name}.*")
        self.post(_THEN.sub(self._ago, path.read_bytes()))

    def message(self, sender: str, text: str, wamid: str, **more: Any) -> None:
        """Post a customer's message."""
        body = {"from": sender, "id": wamid, "timestamp": str(int(time.time())), "type": "text"}
        if text:
            body |= {"text": {"body": text}}  # type: ignore[dict-item]
        self.value({"messages": [body | more]})

    def echo(self, wamid: str, to: str, text: str) -> None:
        """Post what the business has sent from its phone, so that the log knows the message."""
        echo = {"from": "999000002922", "to": to, "id": wamid, "type": "text"}
        echo |= {"timestamp": str(int(time.time())), "text": {"body": text}}  # type: ignore[dict-item]
        self.value({"message_echoes": [echo]}, "smb_message_echoes")

    def value(self, value: dict[str, Any], field: str = "messages") -> None:
        """Post the value of a change."""
        metadata = {"display_phone_number": "999000002922", "phone_number_id": PHONE_NUMBER_ID}
        whole = {"messaging_product": "whatsapp", "metadata": metadata, **value}
        change = {"value": whole, "field": field}
        entry = {"id": self.vendor.business_account_id, "changes": [change]}
        self.post(orjson.dumps({"object": "whatsapp_business_account", "entry": [entry]}))

    def post(self, body: bytes, **headers: str) -> None:
        """Post a signed body, and wait until all of it has come to rest."""
        # By way of the Cloud API: it takes free answers only to those whose messages it has seen.
        url = f"{self.installation.processes['cloud-api'].url}/_simulator/webhook"
        answer = httpx.post(url, content=body, headers=headers, trust_env=False, timeout=WAIT_S)
        assert answer.json() == {"status": 200}, answer.text
        self.settle()

    @staticmethod
    def _ago(found: re.Match[bytes]) -> bytes:
        return b"%d" % (int(time.time()) - 120 + int(found[1]))

    # -- what comes of it --

    def settle(self) -> None:
        """Wait until nothing waits any more: no webhook, no update, no effect. What never ends
        fails here once, and not each test after it."""
        end = time.monotonic() + WAIT_S
        while (waiting := self._waiting()) > self._stuck:
            if time.monotonic() > end:
                self._stuck = waiting
                raise AssertionError(f"{waiting} still wait: {self.accounting()}")
            time.sleep(0.1)

    def accounting(self) -> Accounting:
        """Return the vendor's accounting, which balances."""
        found = asyncio.run(self._accounting())
        assert found.balanced, found
        return found

    async def _accounting(self) -> Accounting:
        redis = connect(self.installation.redis_url, timeout_s=WAIT_S)
        try:
            [vendor] = await Counters(redis).read()
        finally:
            await redis.aclose()
        return vendor

    def sidecar(self, *arguments: str) -> bytes:
        """Run a command of the sidecar's."""
        command = [sys.executable, "-m", "sidecar.commands.main", *arguments]
        environment = {
            **self.installation.environment,
            "SIDECAR_PORT": "1",
            "PATH": "/usr/bin:/bin",
        }
        run = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=60)
        assert run.returncode in (0, 1), run.stderr.decode()
        return run.stdout

    def _waiting(self) -> int:
        found = self.accounting()
        flows = [found.check(name).parts for name in ("webhooks", "updates", "effects")]
        return sum(parts["waiting"] or 0 for parts in flows)

    def row(self, wamid: str) -> dict[str, Any] | None:
        """Return the row of the log with this wamid, letter for letter."""
        rows = [row for row in self._rows() if row["wamid"] == wamid]
        assert len(rows) <= 1, rows
        return rows[0] if rows else None

    def see(self, *names: str) -> Seen:
        """Return what there is of these numbers, user ids and wamids."""
        rows = [row for row in self._rows() if _named(row, names)]
        contacts = [contact for contact in self._contacts() if _named(contact, names)]
        ids = {contact["_id"] for contact in contacts}
        rows += [row for row in self._rows() if row["contacts__id"] in ids and row not in rows]
        cloud_api = self.installation.processes["cloud-api"]
        sent = [message for message in lines(cloud_api, "messages") if _named(message, names)]
        asked = [one["text"] for one in _requests(self.ai)]
        forwarded = [one["body"] for one in _requests(self.webhook)]
        return Seen(
            rows,
            contacts,
            sent,
            asked,
            [body for body in forwarded if any(name in body for name in names)],
        )

    def forwards(self) -> list[str]:
        """Return all that was forwarded to the vendor's own webhook."""
        return [one["body"] for one in _requests(self.webhook)]

    def _rows(self) -> list[dict[str, Any]]:
        return self._read(
            "whatsapp_message_logs",
            "_uid, contacts__id, status, wamid, contact_wa_id, message, is_incoming_message,"
            " replied_to_whatsapp_message_logs__uid, __data",
        )

    def _contacts(self) -> list[dict[str, Any]]:
        return self._read("contacts", "_id, wa_id, first_name, last_name, whatsapp_opt_out, __data")

    def _read(self, table: str, columns: str) -> list[dict[str, Any]]:
        names = [name.strip() for name in columns.split(",")]
        with self.installation.tables.snapshot() as query:
            found = query(f"SELECT {columns} FROM {table} ORDER BY _id", [])
        return [dict(zip(names, values, strict=True)) for values in found]


def _named(values: dict[str, Any], names: tuple[str, ...]) -> bool:
    text = orjson.dumps(values, default=str).decode()
    return any(name in text for name in names)


def _requests(process: Process) -> list[dict[str, Any]]:
    url = f"{process.url}/_simulator/requests"
    found: list[dict[str, Any]] = httpx.get(url, trust_env=False, timeout=WAIT_S).json()
    return found
