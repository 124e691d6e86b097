"""What a campaign costs: 1,000 messages with their 3,000 statuses, while 100 customers write.

Processor time is the kernel's accounting of each process group, from the start of the campaign
until everything has its row; the Cloud API and this process are left out. Statements are MariaDB's
own count, requests nginx's. This system runs at limits of 1,000, 250 and 80 messages per second,
and without customers too; its peers never reach 80.
"""

from typing import Any

from bench.context import Context, installed
from bench.figures import Figures
from bench.peers.crons import CronStack
from bench.peers.hybrid import HybridStack
from bench.stacks import SidecarStack, Stack
from simulator.cloud_api.throughput import Throughput
from simulator.comparison import compare
from simulator.control import lines, order, read
from simulator.cost import Cost

RATES = (1000, 250, 80)
_BETWEEN = 250
#: What a hundred customers write beside a thousand messages.
_CUSTOMERS = 0.1
#: Longer than the slowest peer takes.
_TIMEOUT_S = 240.0
#: Looking costs those who are measured.
_POLL_S = 0.2
_NOT_OURS = "cloud-api"


def run(context: Context) -> Figures:
    messages = context.size(1000, 40)
    customers = round(messages * _CUSTOMERS)
    figures: Figures = {}
    for rate in RATES[: context.size(len(RATES), 1)]:
        with installed(SidecarStack) as stack:
            stack.start_all(rate)
            _warm(stack)
            figures[f"sidecar at {rate}/s"] = measure(stack, messages, customers)
            if rate != _BETWEEN:
                fewer = messages if rate > _BETWEEN else messages // 2
                figures[f"sidecar at {rate}/s, no customers"] = measure(stack, fewer, 0)
    for kind in (HybridStack, CronStack):
        with installed(kind) as stack:
            stack.start_all(RATES[0])
            _warm(stack)
            figures[kind.name] = measure(stack, messages, customers)
    return figures


def measure(stack: Stack, messages: int, customers: int) -> dict[str, float]:
    """Run one campaign to its end. Raises RuntimeError if this system has lost or doubled
    anything."""
    cloud_api = stack.processes["cloud-api"]
    sent_before = len(lines(cloud_api, "messages"))
    inbound_before = len(lines(cloud_api, "inbound"))
    campaign = stack.seed_campaign(
        stack.vendor.uid, messages, paused=isinstance(stack, SidecarStack)
    )
    before = Cost.of(stack)
    if customers:
        order(
            cloud_api, "inbound", {"count": customers, "per_s": customers * stack.rate / messages}
        )
    stack.send(campaign.uid)
    seconds = stack.wait(lambda: _done(stack, messages + sent_before), _TIMEOUT_S, _POLL_S)
    cost = Cost.of(stack).since(before)
    sent = lines(cloud_api, "messages")[sent_before:]
    if isinstance(stack, SidecarStack):
        replies = lines(cloud_api, "inbound")[inbound_before:]
        if differences := compare(stack.tables, messages, sent, replies).differences:
            raise RuntimeError(f"not all has arrived once: {differences}")
    return {**_sent(sent), **costs(cost, messages), "seconds": seconds}


def costs(cost: Cost, messages: int) -> dict[str, float]:
    """Return the processor time, by group and in all, and what a message takes of PHP and SQL."""
    cpu = {name: spent for name, spent in cost.cpu_s.items() if name != _NOT_OURS}
    return {
        "cpu_s": sum(cpu.values()),
        **{f"cpu_s_{name}": spent for name, spent in cpu.items()},
        "statements": cost.statements,
        "requests": cost.calls,
        "statements_per_message": cost.statements / messages,
        "requests_per_message": cost.calls / messages,
    }


def _sent(sent: list[dict[str, Any]]) -> dict[str, float]:
    throughput = Throughput()
    for one in sorted(message["accepted_at"] for message in sent):
        throughput.record(one / 1000)
    return {"sent_per_s": throughput.average_per_s() or 0, "sent": len(sent)}


def _done(stack: Stack, accepted: int) -> bool:
    report = read(stack.processes["cloud-api"], "report")
    return (
        report["idle"]
        and report["accepted"] >= accepted
        and stack.settled()
        and stack.waiting() == 0
    )


def _warm(stack: Stack) -> None:
    """Have every process do its work once, so that none of its start is counted."""
    measure(stack, 20, 2)
