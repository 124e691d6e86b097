"""What vendors are called."""

import time

import pytest

from sidecar.console.vendor_titles import AGAIN_S, KEPT_S, VendorTitles
from sidecar.php.client import make_backend
from tests.conftest import MakeSettings
from tests.sidecar.answering_php import Php, json_answer, refusal


async def test_titles_are_asked_for_once_a_minute(
    make_settings: MakeSettings, php: Php, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    monkeypatch.setattr("sidecar.console.vendor_titles.time.monotonic", lambda: now)
    modes = {"webhooks": "php", "campaigns": "php", "bots": "php"}
    vendors = [
        {"vendor_uid": "v-1", "title": "Ada's", "modes": modes},
        {"vendor_uid": "v-2", "title": None, "modes": modes},
    ]
    backend = make_backend(make_settings(backend_url=php.url))
    titles = VendorTitles(backend)
    php.override = lambda call: refusal(503, "maintenance")
    assert await titles.get() == {}
    php.override = lambda call: json_answer({"version": 1, "vendors": vendors})
    assert await titles.get() == {}, "PHP is left alone for a moment"
    now += AGAIN_S
    assert await titles.get() == await titles.get() == {"v-1": "Ada's"}
    assert len(php.calls) == 2
    now += KEPT_S
    php.override = lambda call: refusal(503, "maintenance")
    assert await titles.get() == {"v-1": "Ada's"}, "the last that are known"
    await backend.close()
