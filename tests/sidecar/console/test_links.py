"""A link signs in whom PHP has named, once and at once; any other is refused in plain words."""

from collections.abc import Callable

import pytest

from contracts.console import LINK_TTL_S, Role, make_link
from contracts.signing import Audience, Refusal, Signer
from sidecar.console import links as module
from sidecar.console.links import (
    AHEAD_S,
    LinkRefused,
    Links,
    Visitor,
)
from sidecar.redis import keys
from sidecar.redis.client import Redis, connect
from tests import trust

SECRET = trust.SIGNING_SECRET.encode()
KEYS = {trust.KEY_ID: SECRET}
START = 1_800_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def links(redis: Redis, clock: Clock) -> Links:
    await redis.set(keys.NONCES_SINCE, 0)
    return Links(redis, KEYS, clock)


@pytest.fixture
def signer(clock: Clock) -> Signer:
    return Signer(Audience.CONSOLE, trust.KEY_ID, SECRET, clock)


def query(signer: Signer, name: str = "Ada", role: Role = Role.LOOK) -> str:
    return make_link(signer, name, role).partition("?")[2]


async def refusal(links: Links, opened: str) -> LinkRefused:
    with pytest.raises(LinkRefused) as refused:
        await links.open(opened)
    assert str(refused.value).endswith(".")
    assert SECRET.decode() not in str(refused.value)
    return refused.value


async def refused(links: Links, opened: str, code: str) -> str:
    """Check that a link is refused. Return what the person reads."""
    found = await refusal(links, opened)
    assert found.code == code
    return str(found)


@pytest.mark.parametrize("role", Role)
async def test_a_link_signs_in(links: Links, signer: Signer, role: Role) -> None:
    assert await links.open(query(signer, "Zoë <b>", role)) == Visitor("Zoë <b>", role)


async def test_it_signs_in_once(links: Links, signer: Signer) -> None:
    link = query(signer)
    await links.open(link)
    for _ in range(2):
        words = await refused(links, link, Refusal.NONCE_REPEATED)
        assert "has been used" in words


async def test_nor_at_another_process(
    links: Links, redis: Redis, clock: Clock, signer: Signer
) -> None:
    link = query(signer)
    await links.open(link)
    await refused(Links(redis, KEYS, clock), link, Refusal.NONCE_REPEATED)


async def test_nor_once_redis_was_emptied(links: Links, redis: Redis, signer: Signer) -> None:
    link = query(signer)
    await links.open(link)
    await redis.flushall()
    assert "emptied" in await refused(links, link, Refusal.NONCES_LOST)


@pytest.mark.parametrize("age_s", [LINK_TTL_S + 0.001, 3600, -AHEAD_S - 0.001, -LINK_TTL_S - 1])
async def test_an_old_one_and_one_of_the_future(
    links: Links, clock: Clock, signer: Signer, age_s: float
) -> None:
    link = query(signer)
    clock.now += age_s
    assert "clocks" in await refused(links, link, Refusal.TIMESTAMP_STALE)


@pytest.mark.parametrize("age_s", [LINK_TTL_S, -AHEAD_S])
async def test_one_that_just_holds(
    links: Links, clock: Clock, signer: Signer, age_s: float
) -> None:
    link = query(signer)
    clock.now += age_s
    assert (await links.open(link)).name == "Ada"
    with pytest.raises(LinkRefused):
        await links.open(link)


CHANGES: list[tuple[Callable[[str], str], Refusal]] = [
    (lambda link: link.replace("name=Ada", "name=Eva"), Refusal.SIGNATURE_MISMATCH),
    (lambda link: link.replace("name=Ada", "name=%41da"), Refusal.SIGNATURE_MISMATCH),
    (lambda link: link.replace("role=look", "role=operate"), Refusal.SIGNATURE_MISMATCH),
    (lambda link: link.replace("role=look", "role=admin"), Refusal.SIGNATURE_MALFORMED),
    (lambda link: link.replace("at=18000", "at=17999"), Refusal.TIMESTAMP_STALE),
    (lambda link: link.replace("at=1800000000.000", "at=soon"), Refusal.SIGNATURE_MALFORMED),
    (lambda link: link.replace("nonce=", "nonce=0"), Refusal.SIGNATURE_MISMATCH),
    (lambda link: link.replace("nonce=", "nonce=%0A"), Refusal.SIGNATURE_MALFORMED),
    (lambda link: link.replace("key=test", "key=tests"), Refusal.KEY_UNKNOWN),
    (lambda link: link.replace("key=test", "key="), Refusal.SIGNATURE_MISSING),
    (lambda link: link + "0", Refusal.SIGNATURE_MISMATCH),
    (lambda link: link + "&name=Eva", Refusal.SIGNATURE_MALFORMED),
    (lambda link: link.partition("&signature")[0], Refusal.SIGNATURE_MALFORMED),
    (lambda link: "", Refusal.SIGNATURE_MALFORMED),
]


@pytest.mark.parametrize(("change", "code"), CHANGES)
async def test_an_altered_one(
    links: Links, signer: Signer, change: Callable[[str], str], code: Refusal
) -> None:
    link = query(signer)
    altered = change(link)
    assert altered != link
    await refused(links, altered, code)
    assert (await links.open(link)).name == "Ada", "nothing of it was used up"


@pytest.mark.parametrize("audience", [Audience.SIDECAR, Audience.BACKEND])
async def test_one_that_is_signed_for_another(
    links: Links, clock: Clock, audience: Audience
) -> None:
    link = query(Signer(audience, trust.KEY_ID, SECRET, clock))
    assert "signed for something else" in await refused(links, link, Refusal.SIGNATURE_MISMATCH)


async def test_one_of_another_secret(links: Links, clock: Clock) -> None:
    link = query(Signer(Audience.CONSOLE, trust.KEY_ID, b"another secret of a test", clock))
    await refused(links, link, Refusal.SIGNATURE_MISMATCH)


async def test_without_redis_nobody_is_signed_in(clock: Clock, signer: Signer) -> None:
    away = connect("redis://127.0.0.1:9/0", timeout_s=1.0)
    words = await refused(Links(away, KEYS, clock), query(signer), "redis_unavailable")
    await away.aclose()
    assert "Redis, which knows the used links, does not answer" in words


@pytest.mark.parametrize(
    ("name", "shown"),
    [("Ada\r\nEva", "Ada Eva"), ("\u202eadA\x00", "adA"), (" \u200b ", "unnamed"), ("👋", "👋")],
)
async def test_a_name_is_one_line(links: Links, signer: Signer, name: str, shown: str) -> None:
    assert (await links.open(query(signer, name))).name == shown


def test_every_refusal_has_words() -> None:
    assert set(module._WORDS) == set(Refusal)
