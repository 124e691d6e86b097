"""The command line: each command has a module of its name, which is loaded when it is needed."""

from importlib import import_module

import click

#: The commands. ``dead-letters`` is ``dead_letters`` in ``sidecar/commands/dead_letters.py``.
COMMANDS = (
    "init",
    "serve",
    "worker",
    "status",
    "notify",
    "check",
    "find",
    "top",
    "campaigns",
    "numbers",
    "unknown",
    "dead-letters",
    "ignored",
    "modes",
    "parity",
    "cutover",
    "rollout",
    "rollback",
    "adopt-webhooks",
    "audit",
    "console",
    "completion",
    "demo",
    "simulate",
)


class LazyGroup(click.Group):
    """A group that loads a command's module when somebody asks for the command."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        found = getattr(import_module(f"sidecar.commands.{name}"), name)
        assert isinstance(found, click.Command), f"{name} is no click command"
        return found


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="whatsapp-sidecar")
def main() -> None:
    """Takes WhatsApp webhooks and campaign sending off a Laravel application."""


if __name__ == "__main__":
    main()
