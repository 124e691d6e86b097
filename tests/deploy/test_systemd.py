"""The units of systemd: what they start exists, and they let it end."""

import re
import shutil
import subprocess
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
    "NoNewPrivileges": "yes",
    "CapabilityBoundingSet": "",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "RestrictNamespaces": "yes",
    "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX",
    "UMask": "0077",
}


def read_unit(name: str) -> dict[str, str]:
    """Return the assignments of a unit; of several with the same name, the last."""
    lines = (UNITS / name).read_text().splitlines()
    pairs = (line.partition("=") for line in lines if line and line[0] not in "#[")
    return {key: value for key, _, value in pairs}


def test_every_unit_is_tested() -> None:
    assert sorted(path.name for path in UNITS.glob("*.service")) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_unit_says(name: str) -> None:
    unit = read_unit(name)
    assert {key: unit.get(key) for key in HARDENED} == HARDENED
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


def test_systemd_understands_them(tmp_path: Path) -> None:
    """``systemd-analyze verify`` on copies whose program exists here."""
    analyze = require("systemd-analyze", shutil.which("systemd-analyze"), "systemd")
    for name in NAMES:
        text = (UNITS / name).read_text().replace(PROGRAM, "/bin/true")
        for instance in (name, name.replace("@", "@messages")):
            (tmp_path / instance).write_text(text)
    units = [str(path) for path in tmp_path.iterdir() if "@." not in path.name]
    done = subprocess.run(
        [analyze, "verify", "--man=no", *units],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
