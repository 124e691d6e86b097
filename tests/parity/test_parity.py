"""The sidecar's matcher gives what PHP gives, and the comparison would notice if it did not."""

from datetime import datetime

import pytest

from contracts.bots import BotMatch, MatchingRules, TriggerType
from sidecar.bots.matcher import Matcher
from tests.parity.compare import answers, compare
from tests.parity.php_loop import PhpLoop


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_generated_cases(php: PhpLoop, seed: int) -> None:
    comparison = compare(php, 3000, seed)
    assert comparison.failure is None, answers(php, comparison.failure)
    assert comparison.cases == 3000
    # Without matches of every type it would show little.
    assert comparison.with_matches > 1000
    assert set(comparison.matched) == set(TriggerType)
    assert min(comparison.matched.values()) > 50


def test_a_difference_is_found_and_shrunk(php: PhpLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    correct = Matcher.match

    def wrong(self: Matcher, text: str | bytes, at: datetime) -> list[BotMatch]:
        return [match for match in correct(self, text, at) if match.trigger != "hello"]

    monkeypatch.setattr(Matcher, "match", wrong)
    comparison = compare(php, 3000, seed=1)
    assert comparison.differences > 0
    assert comparison.failure is not None
    [bot] = comparison.failure.vendor.bots
    assert bot.reply_trigger is not None
    assert bot.reply_trigger.lower() == "hello"
    assert b"hello" in comparison.failure.message.lower()


def test_the_rules_of_debians_laravel(php: PhpLoop) -> None:
    assert php.rules == MatchingRules(numbers_by_value=True)
