"""Prometheus and Grafana ask for what there is, and are put together as they must be."""

import re
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from contracts.sidecar_api import METRICS
from sidecar.metrics import FAMILIES
from tests.conftest import MakeSettings
from tests.deploy import compose, monitoring
from tests.deploy.monitoring import GRAFANA, PROMETHEUS
from tests.eventually import eventually
from tests.nginx.packages import require
from tests.sidecar.payloads import message_webhook
from tests.sidecar.service import running

EXPRESSIONS = monitoring.expressions()


def promtool(*arguments: str | Path, content: str | None = None) -> None:
    """Have Prometheus's own tool look at something."""
    program = require("promtool", shutil.which("promtool"), "prometheus")
    done = subprocess.run(
        [program, *map(str, arguments)],
        input=content,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lint" not in done.stderr, done.stderr


@pytest.fixture
async def exposition(make_settings: MakeSettings, redis_url: str) -> str:
    """What the sidecar says when it has been asked for little."""
    async with running(make_settings(), redis_url) as service:
        await service.webhook(message_webhook(1))

        async def published() -> str:
            """The process says what it uses with its first beat."""
            answer: httpx.Response = await service.client.get(METRICS)
            return answer.text if "sidecar_process_cpu_seconds_total{" in answer.text else ""

        return str(await eventually(published))


# -- what is asked for is there --


async def test_every_metric_that_is_named_is_there(exposition: str) -> None:
    families = list(text_string_to_metric_families(exposition))
    named = {sample.name for family in families for sample in family.samples}
    labels = {sample.name: set(sample.labels) for f in families for sample in f.samples}
    for family in FAMILIES.values():
        # With labels, it has samples only when something was counted.
        parts = ("_bucket", "_count", "_sum") if family.bounds else ("_total",)
        for part in parts:
            labels[family.name + part] = {*family.labels, *({"le"} if part == "_bucket" else ())}
            named.add(family.name + part)
    asked = 0
    for what, expression in EXPRESSIONS.items():
        for name, chosen_by in monitoring.selectors(expression):
            asked += 1
            # It says how long ago, and so is not there before.
            if name != "sidecar_backend_ok_age_seconds":
                assert name in named, f"{what}: there is no {name}"
                assert chosen_by <= labels[name], what
    assert asked > 60


async def test_every_metric_is_shown(exposition: str) -> None:
    """On the dashboard, or by an alert."""
    used = {name for e in EXPRESSIONS.values() for name, _ in monitoring.selectors(e)}
    used = {re.sub("_(total|bucket|count|sum)$", "", name) for name in used}
    assert {family.name for family in text_string_to_metric_families(exposition)} <= used


def test_labels_of_an_aggregation_are_there() -> None:
    known = {label for family in FAMILIES.values() for label in family.labels}
    known |= {"le", "lane", "role", "scope", "process", "check", "outcome", "result", "instance"}
    known |= {"reason"}
    for what, expression in EXPRESSIONS.items():
        for labels in re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", expression):
            assert set(re.split(r"\s*,\s*", labels)) <= known, what


async def test_prometheus_likes_the_exposition(exposition: str) -> None:
    promtool("check", "metrics", content=exposition)


# -- the rules --


@pytest.mark.parametrize("name", ["alerts.yml", "machine-alerts.yml"])
def test_every_rule_tells_what_to_do(name: str) -> None:
    names = [rule["alert"] for rule in monitoring.rules(name)]
    assert len(names) == len(set(names)) > 0
    for rule in monitoring.rules(name):
        assert rule["labels"].keys() == {"severity"}
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"].endswith(".")
        if name == "alerts.yml":
            assert rule["alert"].startswith("Sidecar")
            assert rule["annotations"]["description"].endswith(".")


@pytest.mark.parametrize("name", ["alerts.yml", "machine-alerts.yml"])
def test_prometheus_takes_the_rules(name: str) -> None:
    promtool("check", "rules", PROMETHEUS / name)


def test_prometheus_takes_the_configuration() -> None:
    promtool("check", "config", PROMETHEUS / "prometheus.yml")


def test_prometheus_takes_every_expression(tmp_path: Path) -> None:
    records = [
        {"record": f"expression_{number}", "expr": expression}
        for number, expression in enumerate(EXPRESSIONS.values())
    ]
    file = tmp_path / "expressions.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": records}]}))
    promtool("check", "rules", file)


def test_an_outage_is_an_alert_within_seconds() -> None:
    """Prometheus looks at the metric, and at the rule, every other second."""
    [job] = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]
    groups = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
    [group] = [
        one for one in groups if "SidecarCloudApiDown" in [rule["alert"] for rule in one["rules"]]
    ]
    [rule] = group["rules"]
    assert (job["scrape_interval"], group["interval"]) == ("2s", "2s")
    assert "for" not in rule


def test_alerts_come_when_they_should() -> None:
    promtool("test", "rules", Path(__file__).with_name("alerts_test.yml"))


# -- the dashboard --


def test_the_dashboard() -> None:
    dashboard = monitoring.dashboard()
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    [source] = yaml.safe_load((GRAFANA / "datasource.yml").read_text())["datasources"]
    for panel in monitoring.panels():
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        assert panel["title"]
        assert panel["targets"]
        for asked in (panel, *panel["targets"]):
            assert asked["datasource"] == {"type": source["type"], "uid": source["uid"]}


def test_panels_do_not_lie_on_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in monitoring.dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


# -- in containers --


def test_everybody_finds_everybody() -> None:
    services = compose.services()
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    [job] = config["scrape_configs"]
    port = services["sidecar"]["environment"]["SIDECAR_PORT"]
    assert job["static_configs"] == [{"targets": [f"sidecar:{port}"]}]
    assert job.get("metrics_path", "/metrics") == METRICS
    [source] = yaml.safe_load((GRAFANA / "datasource.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    for name in ("sidecar", "prometheus", "grafana"):
        assert "monitoring" in services[name]["networks"]


def test_every_file_is_mounted_where_it_is_looked_for() -> None:
    services = compose.services()
    mounted = {
        target: source
        for name in ("prometheus", "grafana")
        for source, target, *_ in (v.split(":") for v in services[name]["volumes"])
    }
    assert "--config.file=/etc/prometheus/prometheus.yml" in services["prometheus"]["command"]
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    assert [f"/etc/prometheus/{file}" for file in config["rule_files"]] == [
        "/etc/prometheus/alerts.yml"
    ]
    [provider] = yaml.safe_load((GRAFANA / "dashboards.yml").read_text())["providers"]
    assert f"{provider['options']['path']}/sidecar.json" in mounted
    for folder in ("datasources/datasource.yml", "dashboards/dashboards.yml"):
        assert f"/etc/grafana/provisioning/{folder}" in mounted
    assert "/etc/prometheus/prometheus.yml" in mounted
    assert "/etc/prometheus/alerts.yml" in mounted
