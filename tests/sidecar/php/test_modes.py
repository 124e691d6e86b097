"""Vendors' modes, as PHP keeps them."""

from collections.abc import AsyncIterator

import pytest

from contracts.modes import Capability, Mode, Modes, VendorModes
from contracts.sidecar_api import ModesChange
from sidecar.php.client import Backend, BackendFailed, make_backend
from sidecar.php.modes import counts, differs, held, read_vendor, read_vendors
from tests.conftest import MakeSettings
from tests.sidecar.answering_php import Php, json_answer
from tests.sidecar.commands.vendors import are
from tests.sidecar.service import VENDOR


def vendor(uid: str, **modes: Mode) -> VendorModes:
    return VendorModes(vendor_uid=uid, modes=Modes(**modes))


VENDORS = [
    vendor("a", webhooks=Mode.SIDECAR, campaigns=Mode.HELD),
    vendor("b", webhooks=Mode.SIDECAR, campaigns=Mode.SIDECAR),
    vendor("c", campaigns=Mode.HELD, bots=Mode.SHADOW),
]


def test_how_many_are_in_which_mode() -> None:
    found = counts(VENDORS)
    assert list(found) == list(Capability)
    assert found[Capability.WEBHOOKS] == {Mode.SIDECAR: 2, Mode.PHP: 1}
    assert found[Capability.CAMPAIGNS] == {Mode.HELD: 2, Mode.SIDECAR: 1}
    assert found[Capability.BOTS] == {Mode.PHP: 2, Mode.SHADOW: 1}
    assert all(not count for count in counts([]).values())


def test_for_whom_nobody_sends() -> None:
    assert [one.vendor_uid for one in held(VENDORS)] == ["a", "c"]


@pytest.mark.parametrize(
    ("asked", "other"),
    [
        ({}, False),
        ({"webhooks": Mode.SIDECAR}, False),
        ({"webhooks": Mode.PHP}, True),
        ({"webhooks": Mode.SIDECAR, "campaigns": Mode.SIDECAR}, True),
        ({"campaigns": Mode.HELD, "bots": Mode.PHP}, False),
        ({"bots": Mode.SHADOW}, True),
    ],
)
def test_what_was_not_asked_for_does_not_differ(asked: dict[str, Mode], other: bool) -> None:
    change = ModesChange(vendor_uids=["a"], by="a test", **asked)
    assert differs(VENDORS[0].modes, change) is other


@pytest.fixture
async def backend(make_settings: MakeSettings, php: Php) -> AsyncIterator[Backend]:
    backend = make_backend(make_settings(backend_url=php.url))
    yield backend
    await backend.close()


async def test_vendors_are_read_some_at_a_time(
    backend: Backend, php: Php, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.php.modes.SLICE", 2)
    for uid in "abc":
        php.add_vendor(uid)
    are(php, "b", "shadow", "held", "php", by="Ada")
    vendors = await read_vendors(backend)
    assert [one.vendor_uid for one in vendors] == [VENDOR, "a", "b", "c"]
    assert vendors[2].modes == Modes(webhooks=Mode.SHADOW, campaigns=Mode.HELD)
    assert [past.by for past in vendors[2].history] == ["Ada"]
    assert await read_vendor(backend, "b") == vendors[2]
    assert await read_vendor(backend, "d") is None


async def test_an_answer_that_is_none(backend: Backend, php: Php) -> None:
    body = {"version": 1, "vendors": [{"vendor_uid": VENDOR, "modes": {"webhooks": "nobody"}}]}
    php.override = lambda call: json_answer(body)
    for read in (read_vendors(backend), read_vendor(backend, VENDOR)):
        with pytest.raises(BackendFailed, match=r"something else than documented: modes\.webhooks"):
            await read
