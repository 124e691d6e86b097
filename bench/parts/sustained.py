"""Messages sent and settled per second over 10,000, and how exactly a limit of 80/s is kept with
their statuses coming in."""

from bench.context import Context, installed
from bench.figures import Figures
from bench.parts import campaign
from bench.stacks import SidecarStack

#: Above what the budget asks for, so that the limit is not what is measured.
_ABOVE = 2000


def run(context: Context) -> Figures:
    with installed(SidecarStack) as stack:
        stack.start_all(_ABOVE)
        campaign.measure(stack, 20, 0)
        figures = campaign.measure(stack, context.size(10_000, 200), 0)
        memory = [
            process.memory_bytes() / 1e6
            for name, process in stack.processes.items()
            if name == "sidecar" or name.startswith("worker")
        ]
        figures["memory_mb"] = max(memory)
        return {stack.name: figures}
