"""PHP's own tests and checks of every PHP file."""

import shutil
import subprocess
from pathlib import Path

import pytest

from simulator.stack.application import APPLICATION
from simulator.stack.installation import CONTRACTS
from simulator.stack.packages import program
from tests.stack.packages import require_stack

PACKAGE = CONTRACTS / "laravel"
FILES = sorted(
    file
    for folder in (PACKAGE, APPLICATION, Path(__file__).parent)
    for file in folder.rglob("*.php")
    if "vendor" not in file.parts
)


@pytest.fixture(autouse=True)
def stack() -> None:
    require_stack()


def test_every_file_can_be_read() -> None:
    assert len(FILES) > 50
    for file in [*FILES, APPLICATION / "artisan"]:
        done = subprocess.run(
            [program("php"), "-d", "error_reporting=-1", "-d", "display_errors=1", "-l", str(file)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout.strip() == f"No syntax errors detected in {file}", done.stderr


def test_every_file_is_strict_about_types() -> None:
    lax = [file for file in FILES if "\ndeclare(strict_types=1);\n" not in file.read_text()]
    assert lax == []


def test_every_file_is_named_after_its_class() -> None:
    for file in (PACKAGE / "src").rglob("*.php"):
        parts = file.relative_to(PACKAGE / "src").with_suffix("").parts
        namespace = "\\".join(("WhatsappSidecar", "Laravel", *parts[:-1]))
        text = file.read_text()
        assert f"\nnamespace {namespace};\n" in text
        assert any(f"{kind} {parts[-1]}" in text for kind in ("class", "interface"))


def test_nothing_is_used_that_is_not_there() -> None:
    """Load every class: an interface that is not implemented or a parent that is missing fails."""
    names = [
        "WhatsappSidecar\\Laravel\\"
        + str(file.relative_to(PACKAGE / "src"))[:-4].replace("/", "\\")
        for file in (PACKAGE / "src").rglob("*.php")
    ]
    script = (
        f"require '{APPLICATION / 'bootstrap' / 'autoload.php'}';"
        "foreach (array_slice($argv, 1) as $name)"
        " class_exists($name) || interface_exists($name) || exit($name);"
    )
    done = subprocess.run(
        [program("php"), "-r", script, "--", *names], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_phpunit(tmp_path: Path) -> None:
    phpunit = shutil.which("phpunit")
    assert phpunit is not None, "there is no phpunit; run scripts/install-stack as root"
    done = subprocess.run(
        [
            *(program("php"), phpunit, "--no-configuration", "--do-not-cache-result"),
            *("--fail-on-warning", "--fail-on-risky"),
            f"--bootstrap={APPLICATION / 'bootstrap' / 'autoload.php'}",
            str(PACKAGE / "tests"),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "OK (" in done.stdout
