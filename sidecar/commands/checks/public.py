"""The path of Meta's webhooks: the public address, nginx, the sidecar, PHP."""

import asyncio
import secrets
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx

from contracts.cloud_api.webhook import verify_token
from sidecar.commands.checks.basic import NOBODY
from sidecar.commands.checks.line import Line, fail, ok, warn

_TIMEOUT_S = 10.0

#: What the sidecar, and nobody else, says of an unsigned webhook for a vendor that cannot exist.
_OURS = {(401, "signature_missing"), (404, "vendor_unknown")}

#: What the sidecar itself answers to a verification when PHP does not.
_WITHOUT_PHP = "verify_token_wrong"

_SEE_NGINX = "compare nginx's server block with nginx/site.conf"


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    text: str

    def __str__(self) -> str:
        return f"{self.status} {self.text[:60]!r}"


async def check_public(url: str, vendor_uid: str | None) -> AsyncIterator[Line]:
    """Post a webhook that is refused, and ask for a verification.

    With a vendor, with the right token: PHP marks the vendor's webhook as verified, as when Meta
    asks. Without, with a wrong one: PHP refuses, and nothing is written.
    """
    try:
        yield await _sidecar(url)
        yield await _php(url, vendor_uid)
    except (httpx.HTTPError, TimeoutError) as error:
        yield fail(
            "public address",
            f"{url} does not answer: {error or type(error).__name__}",
            "check that it is right, that nginx runs, and that this machine can reach it; if "
            "not, run the check on one that can",
        )


async def _sidecar(url: str) -> Line:
    what = "webhooks from the public address"
    found = await _read("POST", f"{url}/webhook/{NOBODY}")
    if (found.status, found.text) in _OURS:
        return ok(what, f"{url} leads to the sidecar, which refused an unsigned one")
    return fail(what, f"{url} answered {found}, which is not the sidecar's answer", _SEE_NGINX)


async def _php(url: str, vendor_uid: str | None) -> Line:
    what = "verification from the public address"
    challenge = secrets.token_hex(8)
    token = "wrong" if vendor_uid is None else verify_token(vendor_uid)
    query = {"hub.mode": "subscribe", "hub.verify_token": token, "hub.challenge": challenge}
    found = await _read("GET", f"{url}/webhook/{vendor_uid or NOBODY}", query)
    if found.text == _WITHOUT_PHP:
        return warn(what, "the sidecar answered, because PHP did not", "check PHP's log")
    if vendor_uid is None:
        if found.status == 403:
            return ok(what, "PHP refused a wrong token; --vendor UID tries the right one")
        return fail(what, f"PHP answered {found} to a wrong token", _SEE_NGINX)
    if (found.status, found.text) == (200, challenge):
        return ok(what, f"PHP accepted the token of {vendor_uid}")
    return fail(
        what,
        f"PHP answered {found} to the right token of {vendor_uid}",
        "check that the vendor exists; Meta's own verification fails in the same way",
    )


async def _read(method: str, url: str, query: dict[str, str] | None = None) -> _Answer:
    """Make one request, without the cookies of another, by the machine's own certificates."""
    async with (
        asyncio.timeout(_TIMEOUT_S),
        httpx.AsyncClient(verify=ssl.create_default_context(), trust_env=False) as client,
    ):
        response = await client.request(method, url, params=query, timeout=_TIMEOUT_S)
    return _Answer(response.status_code, response.text.strip())
