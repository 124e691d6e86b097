"""Compare the sidecar's matcher with real PHP on generated bots and messages."""

import sys

import click
import structlog

from sidecar.bots.matcher import Matcher
from tests.parity.compare import Comparison, answers, compare
from tests.parity.php_loop import PhpLoop


@click.command()
@click.option("--cases", "count", default=100_000, show_default=True)
@click.option("--seed", default=1, show_default=True)
def main(count: int, seed: int) -> None:
    """Exits with 1, and the smallest case that differs, if one does."""
    # Wrong bot hours are among the cases.
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory(), processors=[])
    with PhpLoop() as php:
        comparison = compare(php, count, seed)
        if comparison.failure is not None:
            _explain(php, comparison)
    click.echo(
        f"{comparison.cases} cases, {comparison.differences} differences,"
        f" {comparison.with_matches} cases with a trigger that matches; matched by type: "
        + ", ".join(f"{kind} {number}" for kind, number in sorted(comparison.matched.items()))
    )
    sys.exit(1 if comparison.differences else 0)


def _explain(php: PhpLoop, comparison: Comparison) -> None:
    case = comparison.failure
    assert case is not None
    expected, actual = answers(php, case)
    click.echo(
        f"differs: message {case.message!r} at {case.at}\n"
        f"  vendor {case.vendor.model_dump_json()}\n"
        f"  PHP says {[match.model_dump() for match in expected]}\n"
        f"  {Matcher.__name__} says {[match.model_dump() for match in actual]}"
    )


if __name__ == "__main__":
    main()
