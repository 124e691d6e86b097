"""What an installation lets bots answer."""

import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretBytes

from contracts.backend import ProcessWebhooksRequest
from contracts.bots import TriggerType
from contracts.cloud_api.answering import GENUINE_TYPES
from simulator.backend.config import BackendConfig
from simulator.backend.engine import Engine
from simulator.backend.seed import SeededVendor
from simulator.backend.seed_bots import SeedBot, seed_bots
from simulator.backend.webhooks import process_webhooks


@asynccontextmanager
async def running(database: Path, **settings: Any) -> AsyncIterator[Engine]:
    engine = Engine(
        BackendConfig(database=database, keys={"k": SecretBytes(b"secret")}, **settings), time.time
    )
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()


async def said(engine: Engine, vendor: SeededVendor, **fields: Any) -> list[str]:
    """Return what bots answer to a message."""
    element = {"id": "wamid.1", "from": "999700000001", "timestamp": str(int(time.time()))}
    value = {
        "metadata": {"phone_number_id": vendor.phone_number_ids[0]},
        "messages": [{**element, **fields}],
    }
    update = {
        "id": "1",
        "vendor_uid": vendor.uid,
        "kind": "message",
        "received_at": int(time.time() * 1000),
        "attempt": 1,
        "payload": {"entry": [{"changes": [{"field": "messages", "value": value}]}]},
    }
    request = ProcessWebhooksRequest.model_validate({"updates": [update]})
    answer = await engine.unsigned(partial(process_webhooks, request=request))
    (result,) = answer["results"]
    assert result["result"] == "done"
    return [effect["message"]["text"]["body"] for effect in result.get("effects", [])]


THUMB = {"type": "reaction", "reaction": {"message_id": "wamid.0", "emoji": "👍"}}
IN_GROUP = {"type": "text", "text": {"body": "price"}, "group_id": "g"}
TEXT = {"type": "text", "text": {"body": "price"}}


@pytest.mark.parametrize(
    ("settings", "message", "answered"),
    [
        ({}, TEXT, True),
        ({}, THUMB, False),
        ({}, IN_GROUP, False),
        ({"answer_groups": True}, IN_GROUP, True),
        ({"answer_groups": True}, {**THUMB, "group_id": "g"}, False),
        ({"answered_types": {"button"}}, TEXT, False),
        ({"answered_types": {*GENUINE_TYPES, "of_tomorrow"}}, {"type": "of_tomorrow"}, False),
    ],
)
async def test_what_is_answered(
    connection: sqlite3.Connection,
    database: Path,
    vendor: SeededVendor,
    settings: dict[str, Any],
    message: dict[str, Any],
    answered: bool,
) -> None:
    seed_bots(connection, vendor.uid, [SeedBot(TriggerType.CONTAINS, "price", "10 EUR")])
    async with running(database, **settings) as engine:
        assert await said(engine, vendor, **message) == (["10 EUR"] if answered else [])
        # It counts as written, or it does not.
        (row,) = connection.execute(
            "SELECT json_extract(__data, '$.sidecar.unanswered') FROM whatsapp_message_logs"
            " WHERE is_incoming_message = 1"
        )
        assert (row[0] is None) == (answered or message["type"] == "of_tomorrow")
