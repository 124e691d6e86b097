"""One question to the Cloud API about a number, which sends nothing, and what its answer means.

What a finding says is the same for all numbers that have the trouble, so that they can be told of
together. It holds nothing that Meta has written: a message of its may repeat the access token.
"""

import errno
import ssl
import time
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import aiohttp
import orjson
from yarl import URL

from contracts.cloud_api.errors import RULES, ErrorClass, rule_for
from sidecar.commands.checks.line import Level
from sidecar.sending.pauses import COMPARE_IDS

CONNECT_TIMEOUT_S = 4.0
ANSWER_TIMEOUT_S = 6.0
MAX_ANSWER_BYTES = 256 * 1024

#: What Meta says of a token by a subcode.
_TOKENS = {
    458: "the app was removed",
    460: "the password was changed",
    463: "it has expired",
    467: "it is invalid",
}
#: Graph's: the version has expired, and a path that does not exist, as with a version to come.
_VERSION_CODES = {2635, 2500}
#: What a number's health depends on.
_KINDS = {"PHONE_NUMBER": "number", "WABA": "account", "BUSINESS": "business", "APP": "app"}
#: Limits of calls of an app or a token; 80007 is one account's.
_LIMITED = {4, 17, 32, 613}
#: X.509 verification errors, by OpenSSL's numbers.
_CERTIFICATES = {
    9: ("is not valid yet", "check this machine's clock"),
    10: ("has expired", "check this machine's clock; if it is right, the other side must renew it"),
    62: ("is for another host", "check cloud_api_url, and what name resolution says here"),
}
_UNTRUSTED = (
    "is not trusted here",
    "install the authority's certificate (ca-certificates); if a proxy opens TLS on the way, let "
    "the Cloud API pass",
)


@dataclass(frozen=True, slots=True)
class Finding:
    """``reached``: the Cloud API itself has answered, so the next number may fare better.
    ``refused``: with an error. ``everybody``: it is the same for every number. ``enough``: the app
    has asked too often, so that nobody else should be asked about. ``took_s``: until the
    answer."""

    level: Level
    detail: str
    do: str | None = None
    reached: bool = True
    refused: bool = False
    everybody: bool = False
    enough: bool = False
    took_s: float = 0.0


class CloudApiCalls:
    """Asks about numbers. Belongs to one event loop."""

    def __init__(self, url: str, version: str) -> None:
        self._root, self._version = f"{url}/{version}", version
        self._timeout = aiohttp.ClientTimeout(
            total=ANSWER_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S
        )
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar()
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def ask(self, number: str, token: str | None) -> Finding:
        """Ask whether a number can send. Without a token the API refuses, which shows that it
        answers. Raises nothing for what the network or the API does."""
        if token is not None and not token.isprintable():
            return _fail(
                "the access token holds a line break or another control character",
                "enter it again in PHP",
            )
        found = await self._ask(number, token, "id,health_status")
        if not found.refused or not found.reached or token is None:
            return found
        # It may be the state of its health that the token must not see.
        plain = await self._ask(number, token, "id")
        return plain if plain.level is Level.OK else found

    async def _ask(self, number: str, token: str | None, fields: str) -> Finding:
        assert self._session is not None
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        started = time.perf_counter()
        try:
            async with self._session.get(
                # An id that somebody has entered is no path.
                URL(f"{self._root}/{quote(number, safe='')}?fields={fields}", encoded=True),
                headers=headers,
                allow_redirects=False,
            ) as response:
                content = await _read(response)
                found = judge(response.status, content, token is not None, self._version)
                spoken = response.headers.get("facebook-api-version", self._version)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return not_reached(error)
        if found.level is Level.OK and spoken != self._version:
            found = self._other_version(spoken)
        return replace(found, took_s=time.perf_counter() - started)

    def _other_version(self, spoken: str) -> Finding:
        return Finding(
            Level.WARN,
            f"version {self._version} was asked for, and Meta answers as {spoken[:10]}",
            f"set cloud_api_version to {spoken[:10]} or newer, after its changes were read",
            everybody=True,
        )


async def _read(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > MAX_ANSWER_BYTES:
            response.close()
            break
    return bytes(content)


def _fail(detail: str, do: str, *, reached: bool = True, everybody: bool = False) -> Finding:
    return Finding(Level.FAIL, detail, do, reached=reached, everybody=everybody)


def _warn(detail: str, do: str) -> Finding:
    return Finding(Level.WARN, detail, do)


def judge(status: int, content: bytes, has_token: bool, version: str) -> Finding:
    """Return what an answer means; OK where the number can send, or where the API has refused a
    call without a token."""
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        body = None
    error = body.get("error") if isinstance(body, dict) else None
    if isinstance(error, dict):
        found = _refused(status, _number(error.get("code")), error, has_token, version)
        return replace(found, refused=True)
    if isinstance(body, dict) and status == 200 and body.get("id"):
        return _healthy(body.get("health_status"))
    return _fail(
        f"HTTP {status} with something that is not the Cloud API's answer: a proxy or a gateway on "
        "the way, or the Cloud API is down",
        "check cloud_api_url, and whether a proxy or firewall lets it pass",
        reached=False,
        everybody=True,
    )


def _number(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value[:9])
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _refused(
    status: int, code: int | None, error: dict[str, Any], has_token: bool, version: str
) -> Finding:
    subcode = _number(error.get("error_subcode"))
    called = f"code {code}" if subcode is None else f"code {code}, subcode {subcode}"
    if code in _VERSION_CODES:
        return _fail(
            f"version {version} is not served by Meta ({called})",
            "set cloud_api_version to one that is; Meta's changelog of the Graph API lists them",
            everybody=True,
        )
    rule = rule_for(code, status, subcode)
    if code is None or rule.error_class is ErrorClass.RETRY_SERVICE:
        what = f"HTTP {status}" if code is None else f"{called}, HTTP {status}"
        return _fail(
            f"the Cloud API has a fault of its own ({what})",
            "wait, and see Meta's status page; sending goes on by itself when it answers",
            reached=False,
            everybody=True,
        )
    if not has_token:
        return Finding(Level.OK, "answers")
    if rule.code == 33:
        return _fail(
            f"Meta has no such number, or the access token must not see it ({called})",
            COMPARE_IDS,
        )
    if code in _LIMITED or rule.error_class is ErrorClass.RETRY_NUMBER:
        limited = _warn(f"Meta's limit of calls is reached ({called})", "try again in an hour")
        return replace(limited, enough=code in _LIMITED)
    if code in (0, 190):
        why = f": {_TOKENS[subcode]}" if subcode in _TOKENS else ""
        return _fail(
            f"the access token is refused ({called}{why})",
            "enter a new one in PHP; a system user's need not expire",
        )
    if rule.error_class is ErrorClass.PAUSE_TOKEN or (status == 403 and code not in RULES):
        return _fail(
            f"the access token lacks a permission ({called})",
            "give it whatsapp_business_messaging and whatsapp_business_management, and its system "
            "user the account",
        )
    return _fail(f"refused: {rule.meaning} ({called})", "look at the number in WhatsApp Manager")


def _healthy(health: object) -> Finding:
    """Return what Meta says of a number that it knows: whether anything may be sent from it."""
    if not isinstance(health, dict) or health.get("can_send_message") not in ("BLOCKED", "LIMITED"):
        return Finding(Level.OK, "answers")
    entities = [
        entity
        for entity in _objects(health.get("entities"))
        if entity.get("can_send_message") == health["can_send_message"]
    ]
    kinds = {_KINDS.get(str(one.get("entity_type")), "state") for one in entities}
    errors = [error for one in entities for error in _objects(one.get("errors"))]
    codes = {_number(error.get("error_code")) for error in errors}
    where = f", because of its {' and '.join(sorted(kinds))}" if kinds else ""
    why = ", ".join(_named(code) for code in sorted(code for code in codes if code is not None))
    detail = where + (f" ({why})" if why else "")
    do = "WhatsApp Manager says why, and what to do"
    if health["can_send_message"] == "LIMITED":
        return _warn(f"Meta limits what is sent{detail}", do)
    return _fail(f"Meta blocks what is sent{detail}", do)


def _objects(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _named(code: int) -> str:
    return f"{code} {RULES[code].meaning}" if code in RULES else f"code {code}"


def not_reached(error: Exception) -> Finding:
    """Return why no answer came."""
    detail, do = _why_not_reached(error)
    return _fail(detail, do, reached=False, everybody=True)


def _why_not_reached(error: Exception) -> tuple[str, str]:
    firewall = "check that a firewall lets this machine out to port 443"
    match error:
        case aiohttp.ClientConnectorDNSError():
            return (
                f"the name {error.host} does not resolve ({error.os_error})",
                "check this machine's name server (/etc/resolv.conf), and cloud_api_url",
            )
        case aiohttp.ClientConnectorCertificateError():
            return _certificate(error.host, error.certificate_error)
        case aiohttp.ClientSSLError():
            reason = getattr(error.os_error, "reason", None) or type(error.os_error).__name__
            return (
                f"TLS with {error.host} failed ({reason})",
                "check cloud_api_url; something that speaks no TLS, or an old one, answers there",
            )
        case aiohttp.ConnectionTimeoutError():
            return (f"no connection within {CONNECT_TIMEOUT_S:.0f} s", firewall)
        case aiohttp.ClientConnectorError():
            if error.os_error.errno == errno.ECONNREFUSED:
                return (
                    f"{error.host} refuses the connection at port {error.port}",
                    "check cloud_api_url; a firewall may refuse it too",
                )
            return (f"cannot connect to {error.host}: {error.os_error.strerror}", firewall)
        case TimeoutError():
            return (
                f"connected, and no answer within {ANSWER_TIMEOUT_S:.0f} s",
                "wait, and see Meta's status page; a proxy on the way may hold it too",
            )
    return (
        f"the connection broke before an answer came ({type(error).__name__})",
        "try again; if it stays, look at what stands between: proxy, firewall, load balancer",
    )


def _certificate(host: str, error: Exception) -> tuple[str, str]:
    code = error.verify_code if isinstance(error, ssl.SSLCertVerificationError) else 0
    what, do = _CERTIFICATES.get(code, _UNTRUSTED)
    said = getattr(error, "verify_message", "") or type(error).__name__
    return f"the certificate of {host} {what} ({said})", do
