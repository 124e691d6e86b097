"""Modes change by the table: campaigns never pass from PHP's crons to the sidecar directly."""

import itertools

from contracts.modes import Capability, Mode, may_become

CAMPAIGNS = Capability.CAMPAIGNS
SEND = {Mode.PHP: "php", Mode.SHADOW: "php", Mode.SIDECAR: "sidecar"}


def test_what_sends_now_and_what_sends_next_are_never_two() -> None:
    for now, wanted in itertools.product(Mode, Mode):
        two = now in SEND and wanted in SEND and SEND[now] != SEND[wanted]
        assert may_become(CAMPAIGNS, now, wanted) is not two, (now, wanted)


def test_the_others_change_freely_and_are_never_held() -> None:
    for capability in (Capability.WEBHOOKS, Capability.BOTS):
        for now, wanted in itertools.product(SEND, SEND):
            assert may_become(capability, now, wanted)
        assert not any(may_become(capability, mode, Mode.HELD) for mode in SEND)
