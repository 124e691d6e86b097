"""PHP's own tests and checks of every PHP file."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from simulator.stack.application import APPLICATION
from simulator.stack.installation import CONTRACTS
from simulator.stack.packages import program
from tests.stack.checked_package import checked_package
from tests.stack.packages import require_stack

SCRIPTS = CONTRACTS.parent / "scripts"
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


def test_no_constructor_takes_more_than_six_arguments() -> None:
    pattern = re.compile(r"function __construct\(([^)]*)\)")
    counts = {
        file.name: arguments.count("$")
        for file in (PACKAGE / "src").rglob("*.php")
        for arguments in pattern.findall(file.read_text())
    }
    assert len(counts) > 30
    assert {name: count for name, count in counts.items() if count > 6} == {}


def test_an_import_is_there_and_used() -> None:
    script = (
        f"require '{APPLICATION / 'bootstrap' / 'autoload.php'}'; require 'PHPUnit/Autoload.php';"
        "foreach (array_slice($argv, 1) as $name)"
        " class_exists($name) || interface_exists($name) || trait_exists($name) || print($name);"
    )
    imported = set()
    for file in FILES:
        text = file.read_text()
        code = re.sub(r"^use .*$", "", text, flags=re.M)
        for name, alias in re.findall(r"^use ([\w\\]+)(?: as (\w+))?;$", text, re.M):
            imported.add(name)
            assert re.search(rf"\b{alias or name.rpartition(chr(92))[2]}\b", code), (file, name)
    assert len(imported) > 50
    done = subprocess.run(
        [program("php"), "-r", script, "--", *sorted(imported)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


WRONG = """\
<?php

namespace App;

use Illuminate\\Support\\Collection;
use WhatsappSidecar\\Laravel\\Facades\\Sidecar;
use WhatsappSidecar\\Laravel\\Store\\QueueStatus;
use WhatsappSidecar\\Laravel\\Support\\Clock;
use WhatsappSidecar\\Laravel\\Support\\Setting;

new Missing();
QueueStatus::MISSING;
Setting::missing();
Setting::flag(true);
Setting::flag(true, 'X', 'Y');
Setting::flag(true, nom: 'X');
(new Clock())->missing();
Setting::flag(true, name: 'X') || QueueStatus::QUEUED || (new Clock())->nowMs();
(new Clock())->missing(); // @phpstan-ignore-line
fn (Clock $clock) => $clock->missing() || fn () => $clock->now;
function (Clock $clock) { $clock = null; return $clock->missing(); };
fn (Collection $all, Sidecar $it) => $all->map(fn (int $one) => $one)->missing || $it::missing();
"""


def test_what_does_not_exist_is_found(tmp_path: Path) -> None:
    file = tmp_path / "wrong.php"
    file.write_text(WRONG)
    done = subprocess.run(
        [program("php"), str(SCRIPTS / "undefined.php"), str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    found = [line.removeprefix(f"{file}:") for line in done.stdout.splitlines()]
    support, status = "WhatsappSidecar\\Laravel\\Support", "WhatsappSidecar\\Laravel\\Store"
    assert found == [
        "11: there is no App\\Missing",
        f"12: {status}\\QueueStatus has no MISSING",
        f"13: {support}\\Setting has no missing()",
        f"14: {support}\\Setting::flag() does not take 1 arguments",
        f"15: {support}\\Setting::flag() does not take 3 arguments",
        f"16: {support}\\Setting::flag() has no parameter $nom",
        f"17: {support}\\Clock has no missing()",
        f"20: {support}\\Clock has no missing()",
        f"20: {support}\\Clock has no now",
    ]


def test_phpunit(tmp_path: Path) -> None:
    phpunit = shutil.which("phpunit")
    assert phpunit is not None, "there is no phpunit; run scripts/install-stack as root"
    done = subprocess.run(
        [
            *(phpunit, "--no-configuration", "--fail-on-warning", "--fail-on-risky"),
            f"--bootstrap={APPLICATION / 'bootstrap' / 'autoload.php'}",
            str(PACKAGE / "tests"),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, **checked_package(tmp_path / "package")},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "OK (" in done.stdout
