"""What PHP tells of a vendor's secrets stays in memory: it is never written to Redis, and never
logged, whatever goes wrong."""

import traceback
from pathlib import Path
from typing import Any

import orjson
from structlog.testing import capture_logs

from contracts import backend as contract
from contracts.backend import VendorConfig
from contracts.jobs import Lane
from sidecar.redis.client import connect
from simulator.redis_server import RedisServer
from tests.conftest import MakeSettings
from tests.eventually import eventually
from tests.sidecar.service import running
from tests.workers.payloads import message, webhook
from tests.workers.php import Answer, Php, answer
from workers.runtime import Runtime

MARK = "hunter2"
VENDOR = "vendor-with-secrets"
CONFIG: dict[str, Any] = {
    "vendor_uid": VENDOR,
    "bots_on_sidecar": True,
    "access_token": f"{MARK}-token",
    "app_secrets": [f"{MARK}-app-secret"],
    "ai_providers": [{"name": "ai", "url": "http://127.0.0.1:9", "api_key": f"{MARK}-key"}],
    "forward": {"url": "http://127.0.0.1:9", "secret": f"{MARK}-forward"},
    "broadcaster": {
        "url": "http://127.0.0.1:9",
        "app_id": "1",
        "key": "k",
        "secret": f"{MARK}-broadcaster",
    },
}


def text_of(events: list[Any]) -> str:
    """Return all that was logged, with its tracebacks."""
    errors = [event["exc_info"] for event in events if "exc_info" in event]
    return str(events) + "".join("".join(traceback.format_exception(error)) for error in errors)


def whole(folder: Path) -> bytes:
    """Return all that Redis was ever told: its append-only file."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def test_secrets_stay_in_memory(
    php: Php, make_settings: MakeSettings, tmp_path: Path
) -> None:
    php.always(contract.VENDOR_CONFIG, answer({"vendors": [CONFIG]}))
    bots = [{"bot_uid": "b", "trigger_type": "is", "reply_trigger": "hello"}]
    php.always(contract.BOTS, answer({"vendors": [{"vendor_uid": VENDOR, "bots": bots}]}))
    body = webhook(messages=[message(type="text", text={"body": "hello"})])
    folder = tmp_path / "redis"
    with RedisServer(folder) as server, capture_logs() as logged:
        settings = make_settings(backend_url=php.url, log_level="debug")
        runtime = Runtime(settings, server.url)
        await runtime.start()
        async with running(settings, server.url) as service:
            secret = CONFIG["app_secrets"][0]
            taken = await service.webhook(body, vendor_uid=VENDOR, secret=secret)
            assert taken.status_code == 200
            assert (await service.webhook(b"{}", vendor_uid=VENDOR, secret="x")).status_code == 401
            await runtime.drain(Lane.MESSAGES)
            assert php.batches[0][0]["bots"]["matches"][0]["bot_uid"] == "b"
            for wrong in _wrong_answers():
                rule = php.always(contract.VENDOR_CONFIG, wrong)
                asked = len(php.to(contract.VENDOR_CONFIG))
                invalidation = orjson.dumps({"vendor_uids": [VENDOR]})
                answered = await service.call("POST", "/internal/invalidate", invalidation)
                assert answered.status_code == 200
                await eventually(_asked_by_both(php, asked))
                php.forget(rule)
        await runtime.close()
        redis = connect(server.url, timeout_s=5.0)
        assert await redis.dbsize()
        await redis.aclose()
        written = whole(folder)
    assert VENDOR.encode() in written
    assert MARK.encode() not in written
    assert "vendor_config.unavailable" in text_of(logged)
    assert MARK not in text_of(logged)


def _wrong_answers() -> list[Answer]:
    """Return answers that repeat the secrets, and cannot be used."""
    return [
        Answer(500, orjson.dumps({"vendors": [CONFIG]})),
        answer({"vendors": [{**CONFIG, "vendor_uid": 5}]}),
        answer({"vendors": [{**CONFIG, "app_secrets": {"not a list": f"{MARK}-app-secret"}}]}),
        answer({"vendors": f"{MARK}-token"}),
    ]


def _asked_by_both(php: Php, before: int) -> Any:
    return lambda: len(php.to(contract.VENDOR_CONFIG)) >= before + 2


def test_secrets_are_not_shown() -> None:
    config = VendorConfig.model_validate(CONFIG)
    assert config.access_token is not None
    assert MARK in config.access_token
    for shown in (repr(config), str(config), f"{config!r}"):
        assert MARK not in shown
