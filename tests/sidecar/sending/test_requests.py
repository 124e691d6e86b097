"""The request of a row, and where it goes."""

import pytest

from contracts.backend import ClaimedRow, VendorConfig
from contracts.cloud_api.messages import MarketingMessage, TemplateMessage
from sidecar.sending.requests import (
    MESSAGES,
    Unsendable,
    dump,
    endpoint_of,
    number_of,
    request_of,
    template_of,
)

ROW = ClaimedRow(
    uid="row-1",
    to="999700000001",
    template_name="offer",
    template_language="en",
    template_category="MARKETING",
    components=[{"type": "body"}],
)


def test_it_is_as_documented() -> None:
    body = request_of(ROW, template_of(ROW))
    assert TemplateMessage.model_validate(body).to == "+999700000001"
    MarketingMessage.model_validate(request_of(ROW, template_of(ROW), "STRICT"))


def test_rows_that_nothing_can_be_made_of() -> None:
    with pytest.raises(Unsendable, match="neither"):
        request_of(ROW.model_copy(update={"to": None}), {})
    with pytest.raises(Unsendable, match="as JSON"):
        dump({"components": [2**70]})


@pytest.mark.parametrize(
    ("word", "category", "path", "policy"),
    [
        ("off", "MARKETING", "messages", None),
        ("strict", "UTILITY", "messages", None),
        ("strict", None, "messages", None),
        ("strict", "MARKETING", "marketing_messages", "STRICT"),
        ("fallback", "MARKETING", "marketing_messages", "CLOUD_API_FALLBACK"),
    ],
)
def test_where_it_goes(word: str, category: str | None, path: str, policy: str | None) -> None:
    vendor = VendorConfig.model_validate({"vendor_uid": "v-1", "marketing_messages": word})
    endpoint = endpoint_of(ROW.model_copy(update={"template_category": category}), vendor)
    assert (endpoint.path, endpoint.policy) == (path, policy)
    assert (endpoint == MESSAGES) is (path == "messages")


def test_which_number_it_goes_from() -> None:
    vendor = VendorConfig(vendor_uid="v-1", current_phone_number_id="110")
    assert number_of(ROW, vendor) == "110"
    assert number_of(ROW.model_copy(update={"from_phone_number_id": "111"}), vendor) == "111"
    assert number_of(ROW, VendorConfig(vendor_uid="v-1")) == ""
