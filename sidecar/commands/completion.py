"""``sidecar completion``: what makes a shell complete commands and options."""

import click
from click.shell_completion import get_completion_class

#: The name by which the shell calls the program.
_PROGRAM = "sidecar"
_HINTS = {
    "bash": 'eval "$(sidecar completion bash)"          # in ~/.bashrc',
    "zsh": 'eval "$(sidecar completion zsh)"           # in ~/.zshrc',
    "fish": "sidecar completion fish | source           # in ~/.config/fish/config.fish",
}


@click.command(epilog="\b\n" + "\n".join(_HINTS.values()))
@click.argument("shell", type=click.Choice(list(_HINTS)))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that lets your shell complete commands.

    bash needs version 4.4 or newer.
    """
    found = get_completion_class(shell)
    assert found is not None
    complete = found(context.find_root().command, {}, _PROGRAM, "_SIDECAR_COMPLETE")
    click.echo(complete.source())
