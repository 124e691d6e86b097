"""Which refusals hold more than one message, and for how long."""

import pytest

from contracts.cloud_api.errors import RULES, ErrorClass, rule_for
from workers.sending.holds import OF_THE_CALLER, PAUSES, THROTTLED, UNREACHABLE, Scope, hold_for


def test_every_code_that_slows_a_number_has_a_pause_of_its_own() -> None:
    slowing = {code for code, rule in RULES.items() if rule.error_class is ErrorClass.RETRY_NUMBER}
    assert slowing <= set(PAUSES) <= set(RULES)


@pytest.mark.parametrize(
    ("code", "scope", "first_s", "longest_s", "slow"),
    [
        (4, Scope.APP, 60, 3600, False),
        (80007, Scope.ACCOUNT, 60, 3600, False),
        (130429, Scope.NUMBER, 1, 60, True),
        (131057, Scope.NUMBER, 30, 600, False),
        (131064, Scope.ACCOUNT, 3600, 86_400, False),
        (132069, Scope.CAMPAIGN, 3600, 3600, False),
        (134101, Scope.CAMPAIGN, 600, 600, False),
    ],
)
def test_what_is_held_and_for_how_long(
    code: int, scope: Scope, first_s: float, longest_s: float, slow: bool
) -> None:
    hold = hold_for(RULES[code], "as people see it")
    assert hold.reason == "as people see it"
    pause = hold.pause
    assert (pause.scope, pause.first_s, pause.longest_s) == (scope, first_s, longest_s)
    assert pause.slow is slow


def test_a_429_that_is_new_to_us_slows_the_number() -> None:
    assert hold_for(rule_for(999_999, 429), "why").pause is THROTTLED


def test_pauses_do_not_shrink() -> None:
    for pause in (*PAUSES.values(), UNREACHABLE):
        assert 0 < pause.first_s <= pause.longest_s


def test_what_a_caller_gets_holds_nobody_else_by_itself() -> None:
    assert OF_THE_CALLER.isdisjoint(PAUSES)
    assert set(RULES) >= OF_THE_CALLER
