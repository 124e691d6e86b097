"""Marketing templates go by the Marketing Messages API, if the vendor's configuration says so."""

from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from contracts.backend import SendError, VendorConfig
from contracts.cloud_api.errors import RULES, ErrorClass, rule_for
from sidecar.sending.requests import MESSAGES, Endpoint
from tests.conftest import MakeSettings
from tests.workers.rows import CAMPAIGN, claimed_row
from workers.sending.cloud_api import Accepted, Attempt, ErrorAnswer, NotSent, OutcomeUnknown
from workers.sending.endpoint import ADVICE, Endpoints, concluded_at
from workers.sending.send_config import SendConfig
from workers.sending.send_queue import ReplyRow, Row

FALLBACK = Endpoint("marketing_messages", "CLOUD_API_FALLBACK")
STRICT = Endpoint("marketing_messages", "STRICT")

MARKETING = claimed_row(template_category="MARKETING")
UTILITY = claimed_row(template_category="UTILITY")
UNKNOWN = claimed_row()


def reply(template: Any = None) -> ReplyRow:
    message = {"type": "template", "template": template} if template else {"type": "text"}
    return ReplyRow("row-1", "999", message)


def refused(code: int | None, message: str = "no", http_status: int = 400) -> ErrorAnswer:
    return ErrorAnswer(rule_for(code, http_status), SendError(code=code, message=message))


class Desk:
    """Endpoints, and the configuration that they look at."""

    def __init__(self, make_settings: MakeSettings) -> None:
        config = VendorConfig(vendor_uid="vendor-1")
        self.config = SendConfig(make_settings(), config, CAMPAIGN)
        self.endpoints = Endpoints(self.config)

    def set(self, marketing_messages: str) -> None:
        """Change the vendor's setting, as an announced change does while a campaign is sent."""
        more = {"marketing_messages": marketing_messages}
        self.config.vendor = self.config.vendor.model_copy(update=more)

    def of(self, row: Row) -> Endpoint:
        return self.endpoints.of(row)

    def refuse(self, row: Row, attempt: Attempt, used: Endpoint | None = None) -> Endpoint | None:
        return self.endpoints.other_than(row, used or self.of(row), attempt)


@pytest.fixture
def desk(make_settings: MakeSettings) -> Desk:
    return Desk(make_settings)


@pytest.mark.parametrize(
    ("setting", "row", "endpoint"),
    [
        ("off", MARKETING, MESSAGES),
        ("fallback", MARKETING, FALLBACK),
        ("strict", MARKETING, STRICT),
        ("strict", UTILITY, MESSAGES),
        ("strict", claimed_row(template_category="AUTHENTICATION"), MESSAGES),
        ("strict", UNKNOWN, MESSAGES),
        ("strict", claimed_row(template_category="marketing"), MESSAGES),
        ("strict", reply({"name": "offer", "language": {"code": "en"}}), MESSAGES),
        ("strict", reply(), MESSAGES),
    ],
)
def test_where_a_row_goes(desk: Desk, setting: str, row: Row, endpoint: Endpoint) -> None:
    desk.set(setting)
    assert desk.of(row) == endpoint


def test_a_change_of_the_setting_is_in_force_at_once(desk: Desk) -> None:
    for setting, endpoint in (("strict", STRICT), ("fallback", FALLBACK), ("off", MESSAGES)):
        desk.set(setting)
        assert desk.of(MARKETING) == endpoint


@pytest.mark.parametrize("code", [131055, 134100])
def test_a_template_that_is_of_another_category_goes_by_messages(desk: Desk, code: int) -> None:
    desk.set("strict")
    with capture_logs() as logs:
        assert desk.refuse(MARKETING, refused(code)) == MESSAGES
        assert desk.of(MARKETING) == MESSAGES
        assert desk.refuse(MARKETING, refused(code), STRICT) == MESSAGES, "it was on its way"
    assert desk.of(claimed_row(template_category="MARKETING", template_language="de")) == STRICT
    [entry] = logs
    assert entry["event"] == "template.category_differs"
    assert (entry["template"], entry["language"], entry["code"]) == ("offer", "en", code)
    assert (entry["category"], entry["refused_by"]) == ("MARKETING", "marketing_messages")


@pytest.mark.parametrize("row", [UNKNOWN, UTILITY, reply({"name": "a", "language": {"code": "b"}})])
def test_a_template_that_has_become_marketing_goes_by_the_marketing_messages_api(
    desk: Desk, row: Row
) -> None:
    desk.set("fallback")
    assert desk.refuse(row, refused(131063)) == FALLBACK
    assert desk.of(row) == FALLBACK


@pytest.mark.parametrize("row", [reply(), ReplyRow("1", "999", {"type": "template"})])
def test_what_has_no_template_has_no_category(desk: Desk, row: Row) -> None:
    desk.set("strict")
    assert desk.refuse(row, refused(131063)) is None
    assert desk.of(row) == MESSAGES


def test_what_both_refuse_goes_nowhere(desk: Desk) -> None:
    desk.set("strict")
    assert desk.refuse(MARKETING, refused(134100)) == MESSAGES
    assert desk.refuse(MARKETING, refused(131063)) is None
    assert desk.refuse(MARKETING, refused(134100), STRICT) is None


def test_what_is_off_stays_off(desk: Desk) -> None:
    with capture_logs() as logs:
        assert desk.refuse(MARKETING, refused(131063)) is None
    assert desk.of(MARKETING) == MESSAGES
    assert not logs, "it is of the category that was thought"


def test_switched_off_meanwhile(desk: Desk) -> None:
    desk.set("off")
    assert desk.refuse(MARKETING, refused(134100), STRICT) == MESSAGES


def test_switched_on_meanwhile(desk: Desk) -> None:
    desk.set("strict")
    assert desk.refuse(MARKETING, refused(131063), MESSAGES) == STRICT


@pytest.mark.parametrize(
    "attempt",
    [
        Accepted("wamid.1", None, None, {}),
        OutcomeUnknown("silence"),
        NotSent("no connection"),
        refused(131026),
        refused(132018),
        refused(131062),
        refused(134101),
        refused(131048),
        refused(None, http_status=503),
    ],
)
def test_what_does_not_speak_of_the_endpoint(desk: Desk, attempt: Attempt) -> None:
    desk.set("strict")
    assert desk.refuse(MARKETING, attempt, FALLBACK) is None
    assert desk.of(MARKETING) == STRICT


@pytest.mark.parametrize("code", [134102, 131063, 200])
def test_an_account_that_is_not_onboarded_makes_no_template_another_one(
    desk: Desk, code: int
) -> None:
    desk.set("strict")
    assert desk.refuse(MARKETING, refused(code)) is None
    terms = refused(131055, "(#200) You must accept the Marketing Messages Lite API terms")
    assert desk.refuse(MARKETING, terms) is None
    assert desk.of(MARKETING) == STRICT


@pytest.mark.parametrize(
    ("code", "subcode"),
    [(3, None), (10, None), (33, None), (100, 33), (131005, None), (133010, None), (200, None)],
)
def test_the_endpoint_that_is_not_permitted_stops_the_campaign_only(
    code: int, subcode: int | None
) -> None:
    error = SendError(code=code, message="no")
    answer = ErrorAnswer(rule_for(code, 400, subcode), error)
    assert concluded_at(MESSAGES, answer) is answer
    assert answer.rule.error_class in (ErrorClass.PAUSE_NUMBER, ErrorClass.PAUSE_TOKEN)
    found = concluded_at(STRICT, answer)
    assert isinstance(found, ErrorAnswer)
    assert found.rule == replace(answer.rule, error_class=ErrorClass.STOP_CAMPAIGN)
    assert (found.error.code, found.error.message) == (code, "no")
    assert "marketing_messages to off" in (found.error.details or ""), "what a person can do"


def test_what_the_api_says_itself_stays() -> None:
    error = SendError(code=200, message="no", details="You must accept the terms")
    found = concluded_at(FALLBACK, ErrorAnswer(rule_for(200, 403), error))
    assert isinstance(found, ErrorAnswer)
    assert (found.error.details or "").startswith("You must accept the terms; accept")


@pytest.mark.parametrize("code", [0, 190, 100, 131031, 131042, 131048, 131026, 134102])
def test_other_refusals_mean_the_same_everywhere(code: int) -> None:
    answer = refused(code)
    assert concluded_at(STRICT, answer) is answer


def test_what_is_no_refusal_means_the_same_everywhere() -> None:
    unknown = OutcomeUnknown("silence")
    assert concluded_at(STRICT, unknown) is unknown


@pytest.mark.parametrize(
    ("code", "error_class", "repeated"),
    [
        (131055, ErrorClass.STOP_CAMPAIGN, False),
        (131062, ErrorClass.FAIL, False),
        (131063, ErrorClass.STOP_CAMPAIGN, False),
        (132018, ErrorClass.FAIL, True),
        (134100, ErrorClass.STOP_CAMPAIGN, False),
        (134101, ErrorClass.RETRY_NUMBER, False),
        (134102, ErrorClass.STOP_CAMPAIGN, False),
    ],
)
def test_classes(code: int, error_class: ErrorClass, repeated: bool) -> None:
    rule = RULES[code]
    assert (rule.error_class, rule.stop_when_repeated) == (error_class, repeated)
    if error_class is ErrorClass.STOP_CAMPAIGN:
        assert "marketing_messages" in ADVICE[code], "what a person can do"
