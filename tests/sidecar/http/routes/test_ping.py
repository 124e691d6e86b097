"""``POST /internal/ping``: PHP tries the way to the sidecar."""

from contracts.sidecar_api import PING, PingAnswer, PingRequest
from sidecar.clock import now_ms
from sidecar.redis import keys
from sidecar.version import VERSION
from tests.sidecar.service import Service


async def ping(service: Service, token: str | None) -> PingAnswer:
    body = PingRequest(token=token).model_dump_json().encode()
    answer = await service.call("POST", PING, body)
    assert answer.status_code == 200
    return PingAnswer.model_validate_json(answer.content)


async def test_who_it_is(service: Service) -> None:
    before = now_ms()
    answer = await ping(service, None)
    assert before <= answer.now <= now_ms()
    assert (answer.version, answer.known) == (VERSION, False)


async def test_a_token_of_its_redis_is_known(service: Service) -> None:
    await service.redis.set(keys.check("token"), 1)
    assert (await ping(service, "token")).known
    assert not (await ping(service, "another")).known


async def test_it_is_signed(service: Service) -> None:
    answer = await service.request("POST", PING, content=b"{}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "signature_missing")
