"""The accounting of all vendors together, for ``GET /metrics``."""

from collections.abc import Iterator

from prometheus_client.core import Metric

from sidecar.http.families import counter, gauge
from sidecar.ops.accounting import FIRST, LEFT, Accounting
from sidecar.sending.row_states import RowEnd

EFFECT_ENDS = ("done", "left_out", "dead")


def accounting(accounts: list[Accounting]) -> Iterator[Metric]:
    """Yield what has come in and what became of it, of all vendors together."""
    yield counter(
        "sidecar_webhooks_received",
        "Webhooks that were put into the inbox.",
        [((), sum(one.webhooks.total for one in accounts))],
    )
    yield counter(
        "sidecar_webhooks_done",
        "Webhooks that have left the inbox: each of their updates is settled, or kept elsewhere.",
        [((), sum(one.webhooks.parts["done"] or 0 for one in accounts))],
    )
    ends = ("done", "ignored", "duplicate", "coalesced")
    yield counter(
        "sidecar_updates",
        "Updates out of webhooks, by what became of them.",
        [((end,), sum(one.updates.parts[end] or 0 for one in accounts)) for end in ends],
        ("result",),
    )
    yield counter(
        "sidecar_sends",
        "Claimed rows by how they ended, and those that ended at the claim (expired, skipped for "
        "their contact). Those of unknown outcome may have been sent, and are settled by a status "
        "or a person.",
        [
            *(((end,), sum(one.sends.parts[end] or 0 for one in accounts)) for end in RowEnd),
            (("expired",), sum(one.expired for one in accounts)),
            (("skipped",), sum(one.skipped for one in accounts)),
        ],
        ("outcome",),
    )
    yield gauge(
        "sidecar_sends_in_flight",
        "Rows that were claimed and whose end PHP does not know yet.",
        [((), sum(one.sends.parts["in_flight"] or 0 for one in accounts))],
    )
    yield counter(
        "sidecar_effects",
        "Effects that PHP has asked for, by what became of them.",
        [((end,), sum(one.effects.parts[end] or 0 for one in accounts)) for end in EFFECT_ENDS],
        ("result",),
    )
    yield gauge(
        "sidecar_effects_waiting",
        "Effects in the outbox.",
        [((), sum(one.effects.parts["waiting"] or 0 for one in accounts))],
    )
    yield counter(
        "sidecar_dead_letters_deleted",
        "Dead letters that have left: too old, too many or too large for what is kept, or "
        "discarded by a person.",
        [
            ((kind, why), sum(one.check(f"dead_{kind}").parts[why] or 0 for one in accounts))
            for kind in ("updates", "effects")
            for why in LEFT
        ],
        ("kind", "reason"),
    )
    yield gauge(
        "sidecar_accounting_difference",
        "What is missing in the accounting or came from nowhere, of all vendors. "
        "Anything but 0 is a bug, or somebody's hand in Redis.",
        [
            ((name,), sum(abs(one.check(name).difference or 0) for one in accounts))
            for name in FIRST
        ],
        ("accounting",),
    )
