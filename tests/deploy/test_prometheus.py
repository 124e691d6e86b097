"""A real Prometheus scrapes a real installation, and can answer all that the dashboard asks."""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from contracts.cloud_api.webhook import SIGNATURE_HEADER, sign
from simulator import control
from simulator.backend.seed import SeededVendor
from simulator.embedded import EmbeddedInstallation
from simulator.ports import free_ports
from simulator.processes import Process
from tests.deploy import monitoring
from tests.eventually import eventually
from tests.nginx.packages import require
from tests.sidecar.payloads import message_webhook

MESSAGES = 20


#: Panels of what does not happen here: failures, effects, and what PHP does itself. That they
#: show it if it does is seen in test_monitoring.py.
RARE = {
    "errors",
    "throttled (130429)",
    "calls",
    "time of such a call",
    "memory of Redis",
    "replicas of Redis",
    "webhooks recorded beside PHP",
    "compared with PHP",
    "differences that no rule explains",
    "passed on to PHP",
    "PHP's answer",
    "not taken from PHP or Meta",
    "asked for again",
    "probes",
    "calls to PHP that fail",
    "spans",
}


class Prometheus(Process):
    """Prometheus as docker-compose.yml has it, but for the addresses and the pace."""

    def __init__(self, folder: Path, target: str) -> None:
        program = require("prometheus", shutil.which("prometheus"), "prometheus")
        config = yaml.safe_load((monitoring.PROMETHEUS / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "200ms", "evaluation_interval": "200ms"}
        del config["scrape_configs"][0]["scrape_interval"]
        config["scrape_configs"][0]["static_configs"] = [{"targets": [target]}]
        folder.mkdir()
        for name in config["rule_files"]:
            rules = yaml.safe_load((monitoring.PROMETHEUS / name).read_text())
            for group in rules["groups"]:
                group.pop("interval", None)
            (folder / name).write_text(yaml.safe_dump(rules))
        file = folder / "prometheus.yml"
        file.write_text(yaml.safe_dump(config))
        [port] = free_ports(1)
        options = [
            f"--config.file={file}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        super().__init__("prometheus", [program, *options], folder / "prometheus.log", port=port)

    def is_ready(self) -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/-/ready", timeout=1).status_code == 200
        return False

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return what an expression gives now."""
        url, query = f"{self.url}/api/v1/query", {"query": expression}
        found: dict[str, Any] = httpx.get(url, params=query, timeout=10).json()
        assert found["status"] == "success"
        result: list[dict[str, Any]] = found["data"]["result"]
        return result

    def value(self, expression: str) -> float:
        """Return the only number that an expression gives; nothing is 0."""
        samples = self.query(expression)
        return float(samples[0]["value"][1]) if samples else 0.0

    def shows(self, expression: str, value: float) -> bool:
        return self.value(expression) == value


@pytest.fixture
def vendor(tmp_path: Path) -> Iterator[tuple[EmbeddedInstallation, SeededVendor]]:
    """An installation with one vendor, that runs, and a campaign that it sends."""
    (tmp_path / "installation").mkdir()
    with EmbeddedInstallation(tmp_path / "installation") as installation:
        installation.start_redis()
        installation.start_backend()
        [vendor] = installation.seed_vendors(vendors=1)
        numbers = [f"--phone-number-id={number}" for number in vendor.phone_number_ids]
        cloud_api = installation.start_cloud_api(*numbers)
        installation.configure(due_campaigns_interval_s=0.5, reconcile_interval_s=0.2)
        installation.seed_campaign(vendor.uid, MESSAGES)
        installation.start_sidecar()
        control.order(cloud_api, "webhook-url", {"url": installation.webhook_url(vendor.uid)})
        installation.start_worker()
        yield installation, vendor


async def test_what_runs_is_seen(
    vendor: tuple[EmbeddedInstallation, SeededVendor], tmp_path: Path
) -> None:
    installation, its = vendor
    for number in range(MESSAGES):
        body = message_webhook(number)
        signature = sign(installation.APP_SECRET.encode(), body)
        headers = {SIGNATURE_HEADER: signature}
        url = installation.webhook_url(its.uid)
        httpx.post(url, content=body, headers=headers, timeout=10).raise_for_status()
    target = installation.processes["sidecar"].url.removeprefix("http://")
    with Prometheus(tmp_path / "prometheus", target) as prometheus:
        for expression, value in (
            ('up{job="sidecar"}', 1),
            ("sidecar_redis_up", 1),
            # Meta says some things twice.
            (f'sidecar_statuses_total{{status="delivered"}} >= bool {MESSAGES}', 1),
            ("sidecar_webhooks_received_total - sidecar_webhooks_done_total", 0),
            # By the worker, which has no address of its own.
            ('sidecar_handover_seconds_count{lane="messages"}', MESSAGES),
            ('sidecar_sends_total{outcome="accepted"}', MESSAGES),
            ('sidecar_send_calls_total{result="accepted"}', MESSAGES),
            ("sum(sidecar_processes)", 2),
            ("sum(sidecar_accounting_difference)", 0),
        ):
            await eventually(partial(prometheus.shows, expression, value), 30, every_s=0.2)
        for expression in (
            "sidecar_limiter_slots_total",
            'sidecar_webhooks_total{result="acknowledged"}',
            "sidecar_webhook_ack_seconds_count",
        ):
            assert prometheus.value(expression) >= MESSAGES
        for name, expression in monitoring.expressions().items():
            kind, _, panel = name.rpartition(" ")[0].partition(" ")
            if kind == "panel" and panel not in RARE:
                await eventually(partial(prometheus.query, expression), 30, every_s=0.2)
            else:
                prometheus.query(expression)
        firing = {one["metric"]["alertname"] for one in prometheus.query('ALERTS{severity!=""}')}
        assert firing <= {"SidecarDown"}, "that was so before the first scrape"
