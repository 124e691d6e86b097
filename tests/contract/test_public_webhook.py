"""PHP's own public routes, which Meta reaches when the sidecar does not stand before PHP."""

import gzip
import urllib.parse

import orjson
import pytest

from contracts.cloud_api.webhook import SIGNATURE_HEADER, sign, verify_token
from tests.contract.caller import Answer, Caller
from tests.contract.under_test import Vendor

VERIFIED = "webhook_verified_at"


async def _verify(caller: Caller, vendor_uid: str, **parameters: str) -> Answer:
    query = {
        "mode": "subscribe",
        "challenge": "1158201444",
        "verify_token": verify_token(vendor_uid),
        **parameters,
    }
    text = urllib.parse.urlencode({f"hub.{name}": value for name, value in query.items() if value})
    return await caller.raw(f"/whatsapp-webhook/{vendor_uid}?{text}", b"", {}, "GET")


async def test_the_bare_challenge_is_answered(caller: Caller, vendor: Vendor) -> None:
    assert not caller.backend.setting(vendor, VERIFIED)
    answer = await _verify(caller, vendor.uid)
    assert (answer.status, answer.content) == (200, b"1158201444")
    assert answer.headers["Content-Type"].startswith("text/")
    assert caller.backend.setting(vendor, VERIFIED)


async def test_the_installations_own_webhook(caller: Caller) -> None:
    answer = await _verify(caller, "service-whatsapp")
    assert (answer.status, answer.content) == (200, b"1158201444")


@pytest.mark.parametrize(
    "parameters", [{"verify_token": "wrong"}, {"verify_token": ""}, {"mode": "other"}, {"mode": ""}]
)
async def test_anything_else_is_forbidden(
    caller: Caller, vendor: Vendor, parameters: dict[str, str]
) -> None:
    assert (await _verify(caller, vendor.uid, **parameters)).status == 403
    assert not caller.backend.setting(vendor, VERIFIED)


async def test_an_unknown_vendor_is_forbidden(caller: Caller) -> None:
    assert (await _verify(caller, "nobody")).status == 403


async def test_a_signed_webhook_is_stored(caller: Caller, vendor: Vendor) -> None:
    body = orjson.dumps({"object": "whatsapp_business_account", "entry": []})
    signature = sign(vendor.app_secret.encode(), body)
    path = f"/whatsapp-webhook/{vendor.uid}"
    answer = await caller.raw(path, body, {SIGNATURE_HEADER: signature})
    assert (answer.status, answer.content) == (200, b"done")
    (row,) = caller.backend.rows("whatsapp_webhook_queue", vendors__id=vendor.id)
    assert row["payload"] == orjson.loads(body)
    assert row["status"] == "pending"
    headers = {name.lower(): value for name, value in row["headers"].items()}
    assert signature in headers[SIGNATURE_HEADER.lower()]


async def test_a_webhook_that_is_no_json_is_stored_too(caller: Caller, vendor: Vendor) -> None:
    for body in (b"hello", b"\xff\xfe"):
        signature = sign(vendor.app_secret.encode(), body)
        path = f"/whatsapp-webhook/{vendor.uid}"
        assert (await caller.raw(path, body, {SIGNATURE_HEADER: signature})).content == b"done"
    assert len(caller.backend.rows("whatsapp_webhook_queue", vendors__id=vendor.id)) == 2


async def test_every_app_secret_is_valid(caller: Caller, vendor: Vendor) -> None:
    caller.backend.set_setting(vendor, "whatsapp_app_secrets", '["old-secret", "new-secret"]')
    for secret in (b"old-secret", b"new-secret"):
        headers = {SIGNATURE_HEADER: sign(secret, b"{}")}
        answer = await caller.raw(f"/whatsapp-webhook/{vendor.uid}", b"{}", headers)
        assert answer.status == 200


@pytest.mark.parametrize("signature", [None, "sha256=0", sign(b"another secret", b"{}")])
async def test_an_unsigned_webhook_is_refused(
    caller: Caller, vendor: Vendor, signature: str | None
) -> None:
    headers = {} if signature is None else {SIGNATURE_HEADER: signature}
    answer = await caller.raw(f"/whatsapp-webhook/{vendor.uid}", b"{}", headers)
    assert answer.status == 401
    assert caller.backend.rows("whatsapp_webhook_queue", vendors__id=vendor.id) == []


async def test_a_webhook_for_nobody_is_404(caller: Caller) -> None:
    headers = {SIGNATURE_HEADER: sign(b"secret", b"{}")}
    assert (await caller.raw("/whatsapp-webhook/nobody", b"{}", headers)).status == 404


async def _post(
    caller: Caller, vendor: Vendor, sent: bytes, signature: str, encoding: str = "gzip"
) -> Answer:
    headers = {SIGNATURE_HEADER: signature, "Content-Encoding": encoding}
    return await caller.raw(f"/whatsapp-webhook/{vendor.uid}", sent, headers)


@pytest.mark.parametrize("over", ["plain", "packed"])
async def test_gzip_is_stored_as_plain_json_with_its_signature(
    caller: Caller, vendor: Vendor, over: str
) -> None:
    body = orjson.dumps({"object": "whatsapp_business_account", "entry": []})
    packed = gzip.compress(body)
    secret = vendor.app_secret.encode()
    answer = await _post(caller, vendor, packed, sign(secret, body if over == "plain" else packed))
    assert (answer.status, answer.content) == (200, b"done")
    (row,) = caller.backend.rows("whatsapp_webhook_queue", vendors__id=vendor.id)
    assert row["payload"] == orjson.loads(body)
    headers = {name.lower(): value for name, value in row["headers"].items()}
    assert headers[SIGNATURE_HEADER.lower()] == sign(secret, body)
    assert "content-encoding" not in headers


@pytest.mark.parametrize(
    ("sent", "encoding", "status"),
    [
        (b"{}", "gzip", 400),
        (gzip.compress(b"{}")[:-1], "gzip", 400),
        (gzip.compress(b"{}") + b"x", "x-gzip", 400),
        (b"{}", "br", 415),
        (gzip.compress(bytes(30_000_000), 9), "gzip", 413),
    ],
    ids=["plain", "cut", "longer", "br", "bomb"],
)
async def test_what_cannot_be_decompressed(
    caller: Caller, vendor: Vendor, sent: bytes, encoding: str, status: int
) -> None:
    answer = await _post(caller, vendor, sent, sign(vendor.app_secret.encode(), sent), encoding)
    assert answer.status == status
    # Whoever looks from outside can tell it from the sidecar's.
    assert b"_" not in answer.content
    assert caller.backend.rows("whatsapp_webhook_queue", vendors__id=vendor.id) == []


async def test_hex_in_upper_case_is_right(caller: Caller, vendor: Vendor) -> None:
    right = sign(vendor.app_secret.encode(), b"{}")
    upper = "sha256=" + right.removeprefix("sha256=").upper()
    answer = await _post(caller, vendor, b"{}", upper, "identity")
    assert (answer.status, answer.content) == (200, b"done")
    (row,) = caller.backend.rows("whatsapp_webhook_queue", vendors__id=vendor.id)
    headers = {name.lower(): value for name, value in row["headers"].items()}
    assert headers[SIGNATURE_HEADER.lower()] == right
    for wrong in (upper.upper(), right[:-1], f"{right}0"):
        assert (await _post(caller, vendor, b"{}", wrong, "identity")).status == 401
