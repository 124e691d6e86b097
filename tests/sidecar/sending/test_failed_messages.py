"""Failed rows of a campaign: all of PHP's pages."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from contracts.backend import RETRY_MESSAGES, DueCampaign
from sidecar.php.client import BackendFailed, BackendRefused, make_backend
from sidecar.php.package import PackageTooOld
from sidecar.sending.failed_messages import FailedMessages
from tests.conftest import MakeSettings
from tests.sidecar.answering_php import Answer, Call, Php, json_answer, refusal

CAMPAIGN = DueCampaign(campaign_uid="c-1", vendor_uid="v-1")


@pytest.fixture
async def messages(make_settings: MakeSettings, php: Php) -> AsyncIterator[FailedMessages]:
    backend = make_backend(make_settings(backend_url=php.url))
    yield FailedMessages(backend)
    await backend.close()


async def retried(messages: FailedMessages, **options: Any) -> list[int]:
    return [page.retried async for page in messages.retry(CAMPAIGN, **options)]


async def test_page_after_page(messages: FailedMessages, php: Php) -> None:
    pages = {None: (5, "7"), "7": (0, "9"), "9": (2, None)}

    def page(call: Call) -> Answer:
        count, after = pages[call.json["after"]]
        return json_answer({"retried": count, "rows": [], "left": [], "next": after})

    php.override = page
    assert await retried(messages, codes=["132015"], dry_run=True) == [5, 0, 2]
    first, *_ = php.asked(RETRY_MESSAGES)
    assert first.json == {
        "vendor_uid": "v-1",
        "campaign_uid": "c-1",
        "codes": ["132015"],
        "after": None,
        "dry_run": True,
    }


async def test_without_codes_all_are_meant(messages: FailedMessages, php: Php) -> None:
    php.override = lambda call: json_answer({"retried": 0})
    assert await retried(messages) == [0]
    assert php.calls[0].json["codes"] is None


async def test_a_package_that_has_no_such_endpoint(messages: FailedMessages, php: Php) -> None:
    php.override = lambda call: json_answer({"message": "Not Found"}, 404)
    with pytest.raises(PackageTooOld, match="update the Laravel package"):
        await retried(messages)


@pytest.mark.parametrize(
    ("status", "code", "raised"),
    [(404, "campaign_unknown", BackendRefused), (500, "internal", BackendFailed)],
)
async def test_php_that_refuses_or_fails(
    messages: FailedMessages, php: Php, status: int, code: str, raised: type[Exception]
) -> None:
    php.override = lambda call: refusal(status, code)
    with pytest.raises(raised):
        await retried(messages)
