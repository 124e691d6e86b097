"""How a number stands, in words."""

import time

from sidecar.clock import utc_text
from sidecar.format import duration
from sidecar.sending.numbers import NumberState


def state_text(state: NumberState) -> str:
    """Return why a number is slow or silent, and until when or since when."""
    now = time.time()
    if state.paused is not None:
        return str(state.paused)
    if state.outage is not None:
        age = duration(max(0.0, now - state.outage.since))
        return f"{state.outage}, for {age}; one message at a time is tried until it answers"
    held = [held for held in (state.held, state.account_held, state.app_held) if held]
    if held:
        longest = max(held, key=lambda one: one.until)
        left = duration(max(0.0, longest.until - now))
        return f"held for {left}, until {utc_text(round(1000 * longest.until))}: {longest.reason}"
    return (state.reason or "sends at full rate") + last_outage_text(state)


def last_outage_text(state: NumberState) -> str:
    """Return when the Cloud API worked again and how long it had not, or nothing."""
    last = state.last_outage
    if last is None:
        return ""
    took = duration(max(0.0, last.until - last.since))
    return f"; the Cloud API was down for {took} until {utc_text(round(1000 * last.until))}"
