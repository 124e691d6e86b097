"""How many examples a property test that wants a number of its own gets."""

import hypothesis


def examples(number: int) -> int:
    """Return ``number``, or fewer in a profile that has fewer than Hypothesis's hundred."""
    share = hypothesis.settings().max_examples / 100
    return max(5, round(number * min(1.0, share)))
