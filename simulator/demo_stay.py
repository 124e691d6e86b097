"""``sidecar demo --stay``: what is there to look at after the demo, and how."""

import os
import secrets
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import orjson

from simulator.demo import Demo
from simulator.processes import ProcessFailed, python

USER = "demo"


def invitation(demo: Demo) -> str:
    """Write a file with the demo's settings, add a user of its console, and say how to use both."""
    installation = demo.installation
    sidecar = installation.processes["sidecar"]
    settings = {**installation.environment, "SIDECAR_PORT": str(sidecar.port)}
    config = installation.folder / "sidecar.toml"
    config.touch(mode=0o600)
    config.write_text("".join(_line(name, value) for name, value in settings.items()))
    password = secrets.token_urlsafe(12)
    _add_user(settings, password)
    return f"""
Everything goes on running until Ctrl-C. In another terminal:

  export SIDECAR_CONFIG={config} PATH={Path(sys.executable).parent}:$PATH
  sidecar status
  sidecar top
  sidecar campaigns show {demo.campaign.uid}
  sidecar find {demo.campaign.recipients[0]}
  sidecar find {demo.vendor.uid}                  # the vendor

The console: {sidecar.url}/sidecar/ as {USER}, with the password {password}
"""


def stay() -> None:
    """Wait for Ctrl-C, or to be ended."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        while True:
            signal.pause()


def _line(name: str, value: str) -> str:
    return f"{name.removeprefix('SIDECAR_').lower()} = {orjson.dumps(value).decode()}\n"


def _add_user(settings: dict[str, str], password: str) -> None:
    done = subprocess.run(
        python("sidecar.commands.main", "console", "add-user", USER, "--role", "operate"),
        env={**os.environ, **settings},
        input=password,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ProcessFailed(f"no user of the console could be added:\n{done.stderr}")
