"""The path of Meta's webhooks: the public address, nginx, the sidecar, PHP."""

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
from yarl import URL

from contracts.cloud_api.webhook import verify_token
from sidecar.commands.checks.basic import NOBODY
from sidecar.commands.checks.line import Line, fail, ok, warn

_TIMEOUT = aiohttp.ClientTimeout(total=10.0)

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
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        try:
            yield await _sidecar(session, url)
            yield await _php(session, url, vendor_uid)
        except (aiohttp.ClientError, TimeoutError) as error:
            yield fail(
                "public address",
                f"{url} does not answer: {error or type(error).__name__}",
                "check that it is right, that nginx runs, and that this machine can reach it; if "
                "not, run the check on one that can",
            )


async def _sidecar(session: aiohttp.ClientSession, url: str) -> Line:
    what = "webhooks from the public address"
    found = await _read(session, "POST", URL(f"{url}/webhook/{NOBODY}"))
    if (found.status, found.text) in _OURS:
        return ok(what, f"{url} leads to the sidecar, which refused an unsigned one")
    return fail(what, f"{url} answered {found}, which is not the sidecar's answer", _SEE_NGINX)


async def _php(session: aiohttp.ClientSession, url: str, vendor_uid: str | None) -> Line:
    what = "verification from the public address"
    challenge = secrets.token_hex(8)
    token = "wrong" if vendor_uid is None else verify_token(vendor_uid)
    query = {"hub.mode": "subscribe", "hub.verify_token": token, "hub.challenge": challenge}
    address = URL(f"{url}/webhook/{vendor_uid or NOBODY}").with_query(query)
    found = await _read(session, "GET", address)
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


async def _read(session: aiohttp.ClientSession, method: str, url: URL) -> _Answer:
    async with session.request(method, url, timeout=_TIMEOUT, allow_redirects=False) as response:
        return _Answer(response.status, (await response.text(errors="replace")).strip())
