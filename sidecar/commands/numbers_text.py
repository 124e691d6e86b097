"""How a number stands, in words."""

import time

from sidecar.format import duration
from sidecar.sending.numbers import NumberState


def state_text(state: NumberState) -> str:
    """Return why a number is slow or silent, and until when."""
    held = [held for held in (state.held, state.account_held, state.app_held) if held]
    if state.paused is None and held:
        longest = max(held, key=lambda one: one.until)
        left = duration(max(0.0, longest.until - time.time()))
        return f"held for {left}: {longest.reason}"
    return state.reason or "sends at full rate"
