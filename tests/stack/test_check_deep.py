"""``sidecar check --deep`` against the Laravel package, behind nginx as it is shipped."""

import os
import subprocess
import sys
from typing import Any

import orjson

from contracts.diagnosis import INDEXES
from contracts.jobs import Queue
from simulator.stack.installation import StackInstallation
from tests.contract.laravel import LaravelBackend

Lines = dict[str, dict[str, Any]]

_KEY = f"first:{LaravelBackend.keys['first'].decode()}"


def deep(installation: StackInstallation, *arguments: str) -> Lines:
    done = subprocess.run(
        [sys.executable, "-m", "sidecar.commands.main", "check", "--deep", "--json", *arguments],
        # Of the tests' keys the second is too short for the settings.
        env={
            **os.environ,
            **installation.environment,
            "SIDECAR_SIGNING_KEYS": _KEY,
            "SIDECAR_CLOUD_API_URL": "http://127.0.0.1:9",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    return {line["what"]: line for line in orjson.loads(done.stdout)["lines"]}


#: Lines about what other tests have left in the tables that they share, and the Cloud API, which is
#: not there.
OTHERS = ("campaigns of ", "stored webhooks for ", "cloud api")


def failing(lines: Lines) -> set[str]:
    return {
        what
        for what, line in lines.items()
        if line["level"] == "FAIL" and not what.startswith(OTHERS)
    }


async def test_before_and_after_the_indexes(backend: LaravelBackend) -> None:
    """The first step of a migration: nothing of the sidecar runs yet."""
    installation = backend.installation
    installation.start_redis()
    backend.seed_vendor()
    sidecar = {"sidecar serve", "php to sidecar", *(f"worker for {queue}" for queue in Queue)}
    tables = {"logs": "whatsapp_message_logs", "queue": "whatsapp_message_queue"}
    for name, table in tables.items():
        drops = ", ".join(f"DROP INDEX {index}" for index in INDEXES[name])
        backend.run(f"ALTER TABLE {table} {drops}")
    try:
        lines = deep(installation)
    finally:
        for name, table in tables.items():
            adds = ", ".join(
                f"ADD INDEX {index} ({', '.join(columns)})"
                for index, columns in INDEXES[name].items()
            )
            backend.run(f"ALTER TABLE {table} {adds}")
    assert failing(lines) == {*sidecar, *(f"table {table}" for table in tables.values())}
    assert "contracts/sql/indexes.sql" in lines["table whatsapp_message_logs"]["do"]
    assert failing(deep(installation)) == sidecar


async def test_the_way_of_metas_webhooks(backend: LaravelBackend) -> None:
    """nginx, the sidecar, PHP; and nginx alone, while the sidecar is away."""
    installation = backend.installation
    vendor = backend.seed_vendor()
    ours, phps = "webhooks from the public address", "verification from the public address"
    public = ("--public-url", installation.nginx.url)
    lines = deep(installation, *public)
    assert {ours, "php to sidecar"} <= failing(lines), "it does not run, and PHP answers"
    assert lines[phps]["level"] == "OK"
    keys = installation.environment["SIDECAR_SIGNING_KEYS"]
    installation.configure(signing_keys=_KEY)
    sidecar = installation.start_sidecar()
    try:
        lines = deep(installation, *public)
        assert not {ours, phps, "php to sidecar"} & failing(lines)
        assert backend.setting(vendor, "webhook_verified_at") is None, "nothing was written"
        lines = deep(installation, *public, "--vendor", vendor.uid)
        assert lines[phps]["detail"] == f"PHP accepted the token of {vendor.uid}"
        assert backend.setting(vendor, "webhook_verified_at") is not None
        lines = deep(installation, *public, "--vendor", "nobody-of-this-name")
        assert failing(lines) >= {phps}
    finally:
        sidecar.stop()
        installation.configure(signing_keys=keys)
