"""Both matchers on the same cases."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime

from contracts.bots import BotMatch
from sidecar.bots.matcher import Matcher
from tests.parity.cases import Case, cases
from tests.parity.php_loop import PhpLoop
from tests.parity.shrink import shrink


@dataclass
class Comparison:
    """What came of the cases. ``failure``: the first that differs, as small as it gets."""

    cases: int = 0
    differences: int = 0
    with_matches: int = 0
    matched: Counter[str] = field(default_factory=Counter)
    failure: Case | None = None


def compare(php: PhpLoop, count: int, seed: int) -> Comparison:
    """Match at least ``count`` cases with both; a case that differs does not end it."""
    comparison = Comparison()
    for batch in cases(seed, php.rules):
        if comparison.cases >= count:
            break
        vendor = batch[0].vendor
        matcher = Matcher(vendor)
        answer = php.match(vendor, [(case.message, case.at) for case in batch])
        for case, expected in zip(batch, answer.matches, strict=True):
            comparison.cases += 1
            comparison.with_matches += any(match.trigger is not None for match in expected)
            comparison.matched.update(match.trigger_type for match in expected)
            if _match(matcher, case) != expected:
                comparison.differences += 1
                comparison.failure = comparison.failure or shrink(case, lambda c: _differs(php, c))
    return comparison


def answers(php: PhpLoop, case: Case) -> tuple[list[BotMatch], list[BotMatch]]:
    """Return what PHP says of a case, and what the sidecar does."""
    [expected] = php.match(case.vendor, [(case.message, case.at)]).matches
    return expected, _match(Matcher(case.vendor), case)


def _differs(php: PhpLoop, case: Case) -> bool:
    expected, actual = answers(php, case)
    return expected != actual


def _match(matcher: Matcher, case: Case) -> list[BotMatch]:
    return matcher.match(case.message, datetime.fromtimestamp(case.at, UTC))
