"""The built wheel, in an environment that has what requirements/runtime.txt pins and nothing else:
it is complete, and what it leaves out says so."""

import os
import shutil
import signal
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

import httpx
import pytest

from sidecar.commands.main import COMMANDS
from tests.deploy.files import ROOT
from tests.deploy.test_pins import PINS, pins

PACKAGES = ("contracts", "sidecar", "workers", "simulator")
LEFT_OUT = ("adversary", "chaos", "containers", "migration", "outages", "stack")

#: Imports every module of the wheel but those that are programs.
IMPORT_ALL = f"""
import importlib, pkgutil
for name in {PACKAGES!r}:
    for module in pkgutil.walk_packages(importlib.import_module(name).__path__, name + "."):
        importlib.import_module(module.name)
        print(module.name)
"""


@dataclass(frozen=True)
class Installed:
    """``folder`` is empty, and no part of the repository."""

    wheel: Path
    bin: Path
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            **{name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ},
            "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}",
            "SIDECAR_BACKEND_URL": "http://127.0.0.1:9",
            "SIDECAR_SIGNING_KEYS": "first:0123456789abcdef",
            "SIDECAR_DATA_DIR": str(self.folder / "data"),
            "SIDECAR_HOST": "127.0.0.1",
            "SIDECAR_PORT": "0",
        }

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [self.bin / command[0], *command[1:]],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )

    @contextmanager
    def running(self, *command: str) -> Iterator[str]:
        """Run a program until its first line of output, which it yields. It ends well."""
        with subprocess.Popen(
            [self.bin / command[0], *command[1:]],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                assert process.stdout is not None
                yield process.stdout.readline()
                process.send_signal(signal.SIGTERM)
                assert process.wait(60) == 0
            finally:
                process.kill()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build it from a copy, so that nothing is left in this folder and nothing of it gets in."""
    source = tmp_path_factory.mktemp("source")
    for name in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__", "laravel", "laravel_app")
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    options = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "wheel", *options, "--wheel-dir", "dist", "."], cwd=source, check=True)
    [built] = (source / "dist").iterdir()
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "venv", symlinks=True, with_pip=False)
    [packages] = (folder / "venv" / "lib").glob("python*/site-packages")
    for name in pins(PINS / "runtime.txt"):
        borrow(name, packages)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    python = folder / "venv" / "bin" / "python"
    options = ["--quiet", "--no-index", "--no-deps", "--no-compile"]
    subprocess.run([*pip, "--python", python, "install", *options, wheel], check=True)
    (folder / "empty").mkdir()
    return Installed(wheel, python.parent, folder / "empty")


def borrow(name: str, packages: Path) -> None:
    """Link a distribution of this environment into another."""
    found = distribution(name)
    assert found.files is not None, name
    for top in {file.parts[0] for file in found.files} - {"..", "__pycache__"}:
        (packages / top).symlink_to(Path(str(found.locate_file(top))))


def test_it_holds_every_file_of_its_packages(wheel: Path) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", *PACKAGES], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if tracked.returncode != 0:
        pytest.skip("this is no git repository")
    left_out = [f"simulator/{name}/" for name in LEFT_OUT]
    outside = ("contracts/laravel/", "contracts/vectors/", *left_out)
    wanted = {
        line
        for line in tracked.stdout.splitlines()
        if not line.startswith(outside) and (ROOT / line).exists()
    }
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert wanted - held == set(), "missing from the wheel"
    assert not [name for name in held if name.startswith(outside)]
    assert not [name for name in held if not name.startswith(PACKAGES)]


def test_every_module_has_what_it_imports(installed: Installed) -> None:
    """Of what is pinned for running, and of what is in the wheel."""
    done = installed.run("python", "-c", IMPORT_ALL)
    assert done.returncode == 0, done.stderr
    modules = done.stdout.split()
    assert {"sidecar.http.app", "workers.runtime", "simulator.demo_command"} <= set(modules)
    where = installed.run("python", "-c", "import sidecar; print(sidecar.__file__)").stdout
    assert where.startswith(str(installed.bin.parent)), "it is not the one in this folder"


def test_help(installed: Installed) -> None:
    shown = installed.run("sidecar", "--help")
    assert shown.returncode == 0, shown.stderr
    assert all(f"\n  {name} " in shown.stdout for name in COMMANDS)
    for program in ("worker", "simulate", "demo"):
        for option in ("-h", "--help"):
            shown = installed.run("sidecar", program, option)
            assert shown.returncode == 0, shown.stderr
            assert shown.stdout.startswith(f"Usage: sidecar {program} ")


def test_serve(installed: Installed) -> None:
    with installed.running("sidecar", "serve") as said:
        url = said.split()[-1]
        assert httpx.get(f"{url}/healthz", timeout=30).status_code == 200


def test_worker(installed: Installed) -> None:
    with installed.running("sidecar", "worker") as said:
        assert said == "working on messages, statuses, campaigns, effects\n"


def test_the_embedded_demo(installed: Installed) -> None:
    done = installed.run("sidecar", "demo", "--messages", "40", "--rate", "100")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every message was sent once" in done.stdout


@pytest.mark.parametrize(
    ("command", "what"),
    [
        (("demo", "--stack"), "demo --stack"),
        *((("simulate", name), name) for name in ("chaos", "adversary", "migration", "outages")),
    ],
)
def test_what_needs_a_checkout_says_so(
    installed: Installed, command: tuple[str, ...], what: str
) -> None:
    done = installed.run("sidecar", *command)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"Error: {what} needs a checkout of the repository; the installed package leaves it out\n"
    )


def test_listed_is_what_works(installed: Installed) -> None:
    shown = installed.run("sidecar", "simulate", "--help").stdout
    assert "\n  cloud-api " in shown
    assert not [name for name in LEFT_OUT if f"\n  {name} " in shown]


def test_a_checkout_lists_all_of_it_with_what_is_pinned_for_running(installed: Installed) -> None:
    in_checkout = f"import sys; sys.path.insert(0, {str(ROOT)!r}); "
    shown = installed.run(
        "python", "-c", f"{in_checkout} from simulator.__main__ import main; main(['--help'])"
    )
    assert shown.returncode == 0, shown.stderr
    assert all(f"\n  {name} " in shown.stdout for name in ("cloud-api", "containers"))
