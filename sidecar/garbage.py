"""The garbage collector of a process that serves."""

import gc


def calm() -> None:
    """Exclude all that was loaded at the start from garbage collection, and collect less often.

    Requests and messages leave next to no cycles, but with the default thresholds full collections
    walk all modules again and again: at saturation p99 of an answer was 56 ms, and is 12 to 26 ms
    without them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 50, 100)
