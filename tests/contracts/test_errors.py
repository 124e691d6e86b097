"""Every row of the error table in ``cloud-api.md``, 5.2."""

import pytest

from contracts.cloud_api.errors import RULES, ErrorClass, ErrorRule, rule_for

_C = ErrorClass

#: As the table has them. 132069 ("slow to hourly") and 134101 ("whole campaign after 10 min") are
#: retried at a lower rate of the number.
TABLE: list[tuple[ErrorClass, list[int]]] = [
    (_C.PAUSE_ACCOUNT, [368, 131031, 131042, 131064, 134011]),
    (_C.PAUSE_TOKEN, [0, 190, 3, 10, 131005]),
    (_C.PAUSE_NUMBER, [33, 131037, 131045, 131048, 133010]),
    (_C.PAUSE_NUMBER, [133000, 133005, 133006, 133008, 133009, 133015, 133016]),
    (_C.RETRY_SERVICE, [1, 2, 131000, 131016, 133004, 135000]),
    (_C.RETRY_NUMBER, [4, 80007, 130429, 131057, 2494100, 132069, 134101]),
    (_C.RETRY_PAIR, [131056]),
    (_C.DELAY, [131049]),
    (_C.SUPPRESS, [130403, 131026, 131050]),
    (_C.FAIL, [100, 130472, 130497, 131008, 131009, 131021, 131030, 131047, 131051]),
    (_C.FAIL, [131052, 131053, 131062, 132000, 132005, 132008, 132012, 132018, 137000]),
    (_C.STOP_CAMPAIGN, [131055, 134100, 131063, 132001, 132007, 132015, 132016, 132068, 134102]),
]
ROWS = [(code, error_class) for error_class, codes in TABLE for code in codes]


@pytest.mark.parametrize(("code", "error_class"), ROWS)
@pytest.mark.parametrize("http_status", [200, 400, 404, 429, 500, 503])
def test_the_code_decides(code: int, error_class: ErrorClass, http_status: int) -> None:
    rule = rule_for(code, http_status)
    assert (rule.code, rule.error_class) == (code, error_class)


def test_table_and_rules_hold_the_same_codes() -> None:
    codes = [code for code, _ in ROWS]
    assert len(codes) == len(set(codes))
    assert set(codes) == set(RULES)


@pytest.mark.parametrize("code", [200, 201, 250, 299])
@pytest.mark.parametrize("http_status", [400, 403, 500])
def test_permissions_are_a_range(code: int, http_status: int) -> None:
    rule = rule_for(code, http_status)
    assert (rule.code, rule.error_class) == (code, _C.PAUSE_TOKEN)


@pytest.mark.parametrize(
    ("code", "max_retries"), [(1, 2), (131000, 3), (135000, 1), (131056, 5), (130429, 5)]
)
def test_retries_are_bounded(code: int, max_retries: int) -> None:
    """Of a pair: after 4^0 to 4^4 seconds."""
    assert rule_for(code, 400).max_retries == max_retries


def test_codes_that_stop_the_campaign_when_repeated() -> None:
    assert {code for code, rule in RULES.items() if rule.stop_when_repeated} == (
        {1, 100, 131008, 131009, 131051, 131053, 132000, 132008, 132012, 132018, 135000}
    )


@pytest.mark.parametrize("code", [-1, 5, 199, 300, 131999, 10**12])
@pytest.mark.parametrize(
    ("http_status", "error_class", "stop"),
    [
        (400, _C.FAIL, True),
        (403, _C.FAIL, True),
        (404, _C.FAIL, True),
        (499, _C.FAIL, True),
        (408, _C.RETRY_SERVICE, False),
        (429, _C.RETRY_NUMBER, False),
        (500, _C.RETRY_SERVICE, False),
        (502, _C.RETRY_SERVICE, False),
        (503, _C.RETRY_SERVICE, False),
        (302, _C.RETRY_SERVICE, False),
        (200, _C.RETRY_SERVICE, False),
    ],
)
def test_where_the_code_is_not_known_the_http_status_decides(
    code: int, http_status: int, error_class: ErrorClass, stop: bool
) -> None:
    rule = rule_for(code, http_status)
    assert (rule.error_class, rule.stop_when_repeated) == (error_class, stop)
    assert rule.code == code
    assert rule.http_status == http_status


def test_a_code_in_digits_is_read() -> None:
    assert rule_for("131056", 400).error_class is _C.RETRY_PAIR
    assert rule_for("250", 400).error_class is _C.PAUSE_TOKEN


@pytest.mark.parametrize("code", [True, 190.0, "", "x", "-1", "１９０", "1" * 5000, [190], {}])
def test_a_code_of_another_type_counts_as_none(code: object) -> None:
    assert rule_for(code, 400) == rule_for(None, 400)
    assert rule_for(code, 500) == rule_for(None, 500)


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: str(rule.code))
def test_rules_can_be_simulated(rule: ErrorRule) -> None:
    assert rule_for(rule.code, rule.http_status) == rule
    assert 400 <= rule.http_status < 600


# -- the subcode --


@pytest.mark.parametrize(("code", "subcode"), [(100, 33), ("100", "33"), (100, "33")])
@pytest.mark.parametrize("http_status", [400, 404, 500, None])
def test_a_number_that_is_gone(code: object, subcode: object, http_status: int | None) -> None:
    """As code 33, and not an invalid parameter of one message."""
    assert rule_for(code, http_status, subcode) == RULES[33]


@pytest.mark.parametrize("subcode", [None, 0, 34, 2494073, True, "x", [33], {}])
def test_another_subcode_decides_nothing(subcode: object) -> None:
    for code in RULES:
        assert rule_for(code, 400, subcode) == RULES[code]


@pytest.mark.parametrize("code", [code for code in [None, *RULES] if code != 100])
def test_the_subcode_of_another_code_decides_nothing(code: int | None) -> None:
    assert rule_for(code, 400, 33) == rule_for(code, 400)


# -- not the Cloud API's --


@pytest.mark.parametrize("http_status", [101, 302, 400, 401, 403, 404, 407, 408, 413, 499, 503])
def test_without_a_code_something_on_the_way_has_answered(http_status: int) -> None:
    """A proxy that refuses everything for a while says nothing of the message."""
    rule = rule_for(None, http_status)
    assert rule.error_class is _C.RETRY_SERVICE
    assert not rule.stop_when_repeated


# -- in words --


@pytest.mark.parametrize("http_status", [400, 404, 429, 500, 503])
def test_without_a_code_the_meaning_says_the_http_status(http_status: int) -> None:
    assert rule_for(None, http_status).meaning == f"HTTP {http_status} without a code"


def test_an_error_of_a_status_has_no_http_status() -> None:
    """It counts as the message's own."""
    assert rule_for(None, None).meaning == "an error without a code"
    assert rule_for(999_999, None).error_class is _C.FAIL
    assert rule_for(None, None).stop_when_repeated
    for code in RULES:
        assert rule_for(code, None) == RULES[code]
