"""``python -m simulator``: one command for each neighbour, loaded only when it is asked for."""

import importlib

import click

_COMMANDS = {
    "cloud-api": "simulator.cloud_api.command",
    "backend": "simulator.backend.command",
    "ai": "simulator.ai_provider.command",
    "vendor-webhook": "simulator.vendor_webhook.command",
    "pusher": "simulator.pusher.command",
    "demo": "simulator.demo_command",
    "chaos": "simulator.chaos.command",
    "adversary": "simulator.adversary.command",
    "migration": "simulator.migration.command",
}


class _Commands(click.Group):
    """Each module in :data:`_COMMANDS` exports a click command that is named ``command``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        found = importlib.import_module(_COMMANDS[cmd_name]).command
        if not isinstance(found, click.Command):
            raise TypeError(f"{_COMMANDS[cmd_name]}.command is no click command: {found!r}")
        return found


@click.command(cls=_Commands)
def main() -> None:
    """Simulate what the sidecar stands between: the Cloud API, the PHP backend, and the servers
    that effects go to."""


if __name__ == "__main__":
    main(prog_name="python -m simulator")
