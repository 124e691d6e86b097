"""One suite's part of the matrix: ``python -m tests.matrix.run``, in namespaces of its own.

Our Python is the machine's; PHP, nginx and the databases are the suite's, by programs of their
names that come first on the path.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path

import click

from simulator.stack.packages import missing, program
from simulator.stack.versions import versions
from tests.matrix.chroot import Chroot, ChrootFailed
from tests.matrix.suites import SUITES, Suite, machine
from tests.matrix.table import Counts, counts

ROOT = Path(__file__).resolve().parents[2]
CHROOTS = ROOT / "var" / "chroots"
AUTOLOAD = ROOT / "simulator" / "stack" / "laravel_app" / "bootstrap" / "autoload.php"

#: What is run if nothing else is asked for.
PARTS = ("phpunit", "contract", "stack", "nginx", "demo")
MESSAGES = 300


class Run:
    """Runs the parts in ``folder``, and keeps what they say in ``CHROOTS``."""

    def __init__(self, suite: Suite, folder: Path, expression: str | None) -> None:
        self._suite = suite
        self._folder = folder
        self._expression = expression

    def prepare(self) -> None:
        """Have the suite's programs come first on the path. Raises :class:`ChrootFailed`."""
        CHROOTS.mkdir(parents=True, exist_ok=True)
        if self._suite.name != machine():
            chroot = Chroot(CHROOTS, self._suite)
            if not chroot.whole:
                click.echo(f"{self._suite.name}: making {chroot.root} ...", err=True)
            chroot.make()
            chroot.enter([ROOT, self._folder])
            chroot.wrap(self._folder / "bin")
            os.environ["PATH"] = f"{self._folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        if lacking := missing():
            raise ChrootFailed(f"{self._suite.name} has no {', '.join(lacking)}")
        # Nothing is left out in silence.
        os.environ |= {"TMPDIR": str(self._folder), "CI": "true"}

    def part(self, name: str) -> Counts:
        """Run one part."""
        log = CHROOTS / f"{self._suite.name}-{name}.log"
        report = self._folder / f"{name}.xml"
        began = time.monotonic()
        with log.open("wb") as output:
            done = subprocess.run(
                self._command(name, report),
                # PHPUnit leaves a cache where it is run.
                cwd=self._folder if name == "phpunit" else ROOT,
                stdout=output,
                stderr=output,
                check=False,
            )
        code = done.returncode
        # pytest: no test is meant by this expression.
        found = counts(report, 0 if code == 5 and self._expression else code)
        if name in ("demo", "migration") and code == 0:
            found = Counts(passed=1)
        took = time.monotonic() - began
        more = f", see {log}" if found.failed else ""
        click.echo(f"{self._suite.name:9} {name:9} {found} ({took:.0f} s){more}", err=True)
        return found

    def _command(self, name: str, report: Path) -> list[str]:
        match name:
            case "phpunit":
                options = ["--no-configuration", f"--log-junit={report}"]
                tests = str(ROOT / "contracts" / "laravel" / "tests")
                return [program("phpunit"), *options, f"--bootstrap={AUTOLOAD}", tests]
            case "demo":
                demo = [str(Path(sys.executable).with_name("sidecar")), "demo", "--stack"]
                return [*demo, "--messages", str(MESSAGES)]
            case "migration":
                return [sys.executable, "-m", "simulator", "migration"]
            case _:
                return list(self._pytest(name, report))

    def _pytest(self, name: str, report: Path) -> Iterator[str]:
        yield from (sys.executable, "-m", "pytest", "-v", f"tests/{name}", f"--junitxml={report}")
        yield from ("-p", "no:cacheprovider", f"--basetemp={self._folder / name[0]}")
        # The embedded backend is the same everywhere.
        wanted = "not embedded" if name == "contract" else ""
        chosen = f"({self._expression})" if self._expression else ""
        if expression := " and ".join(filter(None, (wanted, chosen))):
            yield from ("-k", expression)


@click.command()
@click.argument("suite")
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("parts", nargs=-1)
@click.option("-k", "expression")
def main(suite: str, folder: Path, parts: tuple[str, ...], expression: str | None) -> None:
    """Writes a row of the table into FOLDER/row."""
    run = Run(SUITES[suite], folder, expression)
    try:
        run.prepare()
    except ChrootFailed as error:
        raise click.ClickException(str(error)) from None
    total = sum((run.part(part) for part in parts), Counts())
    found = versions()
    cells = (suite, found.laravel, found.php, found.database, found.redis, found.nginx)
    row = [*cells, *map(str, astuple(total))]
    (folder / "row").write_text("\n".join(row))


if __name__ == "__main__":
    main()
