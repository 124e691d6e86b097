"""What ``sidecar init`` says: the files for PHP, nginx and systemd, and what is left to do."""

from dataclasses import asdict, dataclass
from pathlib import Path

import click
import orjson

from sidecar.commands.checks.line import Line
from sidecar.commands.setup import files, filled
from sidecar.commands.setup.answers import Answers, Place
from sidecar.commands.setup.steps import Step

_ENV, _SITE = "php.env", "whatsapp.conf"


@dataclass(frozen=True, slots=True)
class Installation:
    """What it is for, and where. ``out``: the folder for the files; None: they are printed."""

    answers: Answers
    place: Place
    out: Path | None

    def files(self) -> list[Path]:
        """Return the files that are written to ``out``."""
        return paths(self.out)

    def write(self, *, replace: bool) -> None:
        """Write them; PHP's lines, which hold secrets, for their owner alone."""
        for path in self.files():
            mode = files.SECRET if path.name == _ENV else files.PUBLIC
            files.write(path, self._text(path.name), mode, replace=replace)

    def show(self) -> None:
        """Print them where they are not written, without secrets and comments."""
        if self.out is not None:
            return
        where = ""
        if self.place.elsewhere:
            where = f"; what it prints goes to {self.place.application}/.env on PHP's machine"
        command = filled.php_env_command(self.answers, self.place)
        click.echo(f"\n# PHP, in a shell{where}:\n{command}")
        for name in _names():
            if name != _ENV and "@" not in name:
                click.echo(f"# {name}:\n{_bare(self._text(name))}\n")
        if not filled.has_templates():
            click.echo("The files for nginx and systemd are in the repository.", err=True)

    def _text(self, name: str) -> str:
        if name == _ENV:
            return filled.php_env(self.answers)
        if name == _SITE:
            return filled.nginx_site(self.answers, self.place)
        return filled.unit(name, self.answers, self.place)


def paths(out: Path | None) -> list[Path]:
    """Return the files that are written to a folder."""
    return [] if out is None else [out / name for name in _names()]


def _names() -> tuple[str, ...]:
    return _ENV, *((_SITE, *filled.UNITS) if filled.has_templates() else ())


def _bare(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))


def print_steps(steps: list[Step]) -> None:
    click.echo("\nWhat is left, in this order:")
    for number, step in enumerate(steps, 1):
        click.echo(f"\n{number}. {step.what}")
        for command in step.commands:
            click.echo(f"     {command}")


def print_json(installation: Installation, lines: list[Line], steps: list[Step]) -> None:
    said = {
        "config": str(installation.place.config),
        "files": [str(path) for path in installation.files()],
        "lines": [line.json for line in lines],
        "steps": [asdict(step) for step in steps],
    }
    click.echo(orjson.dumps(said, option=orjson.OPT_INDENT_2).decode())
