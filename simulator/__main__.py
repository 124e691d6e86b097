"""``python -m simulator``: one command for each neighbour, loaded only when it is asked for."""

import importlib
import sys

import click

from simulator.checkout import has_checkout, require_checkout

_COMMANDS = {
    "cloud-api": "simulator.cloud_api.command",
    "backend": "simulator.backend.command",
    "ai": "simulator.ai_provider.command",
    "vendor-webhook": "simulator.vendor_webhook.command",
    "pusher": "simulator.pusher.command",
    "demo": "simulator.demo_command",
}
_IN_CHECKOUT = {
    "chaos": "simulator.chaos.command",
    "chaos-failover": "simulator.chaos.failover_command",
    "chaos-hosts": "simulator.chaos.hosts.command",
    "adversary": "simulator.adversary.command",
    "containers": "simulator.containers.command",
    "migration": "simulator.migration.command",
    "outages": "simulator.outages.command",
}


class _Commands(click.Group):
    """Each module exports a click command that is named ``command``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*_COMMANDS, *(_IN_CHECKOUT if has_checkout() else ())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _IN_CHECKOUT:
            require_checkout(cmd_name)
        module = {**_COMMANDS, **_IN_CHECKOUT}.get(cmd_name)
        if module is None:
            return None
        found = importlib.import_module(module).command
        if not isinstance(found, click.Command):
            raise TypeError(f"{module}.command is no click command: {found!r}")
        return found


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Simulate what the sidecar stands between: the Cloud API, the PHP backend, and the servers
    that effects go to."""


if __name__ == "__main__":
    # As people call it; ``sidecar demo`` is one of its commands.
    main(prog_name="sidecar" if sys.argv[1:2] == ["demo"] else "sidecar simulate")
