"""The units of systemd: what they start exists, and they let it end."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from contracts.jobs import Queue
from sidecar.settings import Settings
from tests.deploy.files import DEPLOY, assert_command, load_settings, read_environment
from tests.nginx.packages import require

UNITS = DEPLOY / "systemd"
NAMES = ["sidecar.service", "sidecar-worker.service", "sidecar-worker@.service"]
PROGRAM = "/opt/whatsapp-sidecar/.venv/bin/sidecar"

#: What every unit must say about the process, whatever else it says.
HARDENED = {
    "LimitCORE": ["0"],
    "UMask": ["0077"],
    "NoNewPrivileges": ["yes"],
    "CapabilityBoundingSet": [""],
    "AmbientCapabilities": [""],
    "ProtectSystem": ["strict"],
    "ProtectHome": ["yes"],
    "PrivateTmp": ["yes"],
    "PrivateDevices": ["yes"],
    "PrivateMounts": ["yes"],
    "ProtectClock": ["yes"],
    "ProtectControlGroups": ["yes"],
    "ProtectHostname": ["yes"],
    "ProtectKernelLogs": ["yes"],
    "ProtectKernelModules": ["yes"],
    "ProtectKernelTunables": ["yes"],
    "ProtectProc": ["invisible"],
    "RemoveIPC": ["yes"],
    "RestrictAddressFamilies": ["AF_INET AF_INET6 AF_UNIX"],
    "RestrictNamespaces": ["yes"],
    "RestrictRealtime": ["yes"],
    "RestrictSUIDSGID": ["yes"],
    "LockPersonality": ["yes"],
    "MemoryDenyWriteExecute": ["yes"],
    "SystemCallArchitectures": ["native"],
    "SystemCallFilter": ["@system-service", "~@privileged"],
    "SystemCallErrorNumber": ["EPERM"],
}

#: What `systemd-analyze security` may say of a unit, from 0 (none) to 10.
MAX_EXPOSED = 1.5


def read_all(name: str) -> dict[str, list[str]]:
    """Return what a unit assigns to each name."""
    lines = (UNITS / name).read_text().splitlines()
    found: dict[str, list[str]] = {}
    for key, _, value in (line.partition("=") for line in lines if line and line[0] not in "#["):
        found.setdefault(key, []).append(value)
    return found


def read_unit(name: str) -> dict[str, str]:
    """Return the assignments of a unit; of several with the same name, the last."""
    return {key: values[-1] for key, values in read_all(name).items()}


def test_every_unit_is_tested() -> None:
    assert sorted(path.name for path in UNITS.glob("*.service")) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_unit_says(name: str) -> None:
    unit = read_unit(name)
    assigned = read_all(name)
    assert {key: assigned.get(key) for key in HARDENED} == HARDENED
    assert unit["Restart"] == "always"
    assert unit["StartLimitIntervalSec"] == "0"
    assert unit["KillMode"] == "mixed"
    assert unit["User"] not in ("", "root")
    assert int(unit["LimitNOFILE"]) >= 16384
    assert unit["MemoryMax"]
    assert {"redis-server.service", "network-online.target"} <= set(unit["After"].split())
    assert unit["EnvironmentFile"] == "/etc/whatsapp-sidecar/sidecar.env"


@pytest.mark.parametrize("queue", Queue)
@pytest.mark.parametrize("name", NAMES)
def test_what_a_unit_starts(name: str, queue: Queue) -> None:
    program, *arguments = read_unit(name)["ExecStart"].replace("%i", queue.value).split()
    assert program == PROGRAM
    assert_command(arguments)


def test_the_unit_for_one_queue_names_all_of_them() -> None:
    """Whoever starts one for each must not leave one out."""
    named = re.findall(r"sidecar-worker@([a-z]+)", (UNITS / "sidecar-worker@.service").read_text())
    assert named == list(Queue)


@pytest.mark.parametrize("name", NAMES)
def test_a_unit_waits_longer_than_the_process_takes_to_end(name: str) -> None:
    timeout_s = float(read_unit(name)["TimeoutStopSec"])
    example = read_environment(UNITS / "sidecar.env.example")
    assert timeout_s > Settings.model_fields["shutdown_timeout_s"].default
    assert timeout_s > float(example["SIDECAR_SHUTDOWN_TIMEOUT_S"])


def test_the_example_of_an_environment(
    own_environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    example = read_environment(UNITS / "sidecar.env.example")
    unset = {name for name, value in example.items() if not value}
    assert unset == {"SIDECAR_SIGNING_KEYS", "SIDECAR_APP_SECRETS"}
    filled = {**example, "SIDECAR_SIGNING_KEYS": "first:0123456789abcdef"}
    settings = load_settings(filled, monkeypatch)
    unit = read_unit("sidecar.service")
    assert str(settings.data_dir) == f"/var/lib/{unit['StateDirectory']}"
    assert settings.backend_url.endswith(":8601")
    assert (settings.host, settings.port) == ("127.0.0.1", 8600)


@pytest.fixture
def units(tmp_path: Path) -> list[str]:
    """Return copies whose program exists here, an instance of the template among them."""
    for name in NAMES:
        text = (UNITS / name).read_text().replace(PROGRAM, "/bin/true")
        for instance in (name, name.replace("@", "@messages")):
            (tmp_path / instance).write_text(text)
    return [str(path) for path in tmp_path.iterdir() if "@." not in path.name]


def analyze(*arguments: str) -> tuple[int, str]:
    program = require("systemd-analyze", shutil.which("systemd-analyze"), "systemd")
    done = subprocess.run(
        [program, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_systemd_understands_them(units: list[str]) -> None:
    assert analyze("verify", "--man=no", *units) == (0, "")


def test_how_exposed_they_are(units: list[str]) -> None:
    threshold = f"--threshold={MAX_EXPOSED * 10:.0f}"
    for unit in units:
        code, said = analyze("security", "--offline=true", "--no-pager", threshold, unit)
        assert code == 0, said


def test_nothing_needs_memory_that_is_written_and_executed(
    own_environment: None, tmp_path: Path
) -> None:
    """The embedded Valkey, and all that is loaded, start where the kernel allows none
    (``PR_SET_MDWE``, which is how newer systemds do MemoryDenyWriteExecute)."""
    command = (
        "import ctypes, mmap, sys\n"
        "if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0): sys.exit(77)\n"
        "try: mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)\n"
        "except PermissionError: pass\n"
        "else: sys.exit('the kernel does not keep to it')\n"
        "import uvloop, workers.runtime, sidecar.http.serve\n"
        "from sidecar.commands.main import main\n"
        "main(['check'])\n"
    )
    settings = {
        "SIDECAR_BACKEND_URL": "http://127.0.0.1:9",
        "SIDECAR_SIGNING_KEYS": "first:0123456789abcdef",
        "SIDECAR_DATA_DIR": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", command],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode == 77:
        pytest.skip("this kernel has no PR_SET_MDWE")
    assert "OK    redis appendfsync: always" in done.stdout, done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_workers_may_write_where_media_is_fetched_to(name: str) -> None:
    """The folder need not be there: a dash says so."""
    example = (UNITS / "sidecar.env.example").read_text()
    assert "\n#SIDECAR_MEDIA_DIR=/var/lib/whatsapp-media\n" in example
    writes = read_unit(name).get("ReadWritePaths")
    assert writes == ("-/var/lib/whatsapp-media" if "worker" in name else None)
