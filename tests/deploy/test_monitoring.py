"""Prometheus and Grafana ask for what there is, and are put together as they must be."""

import re
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
from tests.deploy.promtool import promtool
from tests.eventually import eventually
from tests.sidecar.payloads import message_webhook
from tests.sidecar.service import running

EXPRESSIONS = monitoring.expressions()


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
        of_all = {"instance", "job"}.union(
            *(labels.get(name, ()) for name, _ in monitoring.selectors(expression))
        )
        for grouped_by in re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", expression):
            assert set(re.split(r"\s*,\s*", grouped_by)) <= of_all, what
    assert asked > 60


async def test_every_metric_is_shown(exposition: str) -> None:
    """On the dashboard, or by an alert."""
    used = {name for e in EXPRESSIONS.values() for name, _ in monitoring.selectors(e)}
    used = {re.sub("_(total|bucket|count|sum)$", "", name) for name in used}
    assert {family.name for family in text_string_to_metric_families(exposition)} <= used


def test_recorded_series_are_shown_and_what_is_shown_is_recorded() -> None:
    names = [rule["record"] for rule in monitoring.rules("recording-rules.yml")]
    assert len(names) == len(set(names))
    shown = {name for e in EXPRESSIONS.values() for name in monitoring.recorded(e)}
    assert shown == set(names)


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
        assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["annotations"]["description"].endswith(".")
        assert rule["alert"].startswith("Sidecar") == (name == "alerts.yml")


@pytest.mark.parametrize("name", ["alerts.yml", "machine-alerts.yml", "recording-rules.yml"])
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


def test_every_panel_shows_what_there_is_to_show(tmp_path: Path) -> None:
    """With every series that it asks for, whatever else it is grouped by and divided by."""
    rules = PROMETHEUS / "recording-rules.yml"
    (tmp_path / "rules.yml").write_text(rules.read_text())
    panels = {name: e for name, e in EXPRESSIONS.items() if name.startswith("panel ")}
    series = sorted({one for e in EXPRESSIONS.values() for one in monitoring.series_of(e)})
    asked = [
        {
            "expr": f"count({expression}) > bool 0",
            "eval_time": "20m",
            "exp_samples": [{"labels": "{}", "value": 1}],
        }
        for expression in panels.values()
    ]
    busy = {
        "interval": "15s",
        "input_series": [{"series": one, "values": "1+7x90"} for one in series],
        "promql_expr_test": asked,
    }
    file = tmp_path / "busy.yml"
    file.write_text(yaml.safe_dump({"rule_files": ["rules.yml"], "tests": [busy]}, width=10_000))
    promtool("test", "rules", file)


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
    rules = [f"/etc/prometheus/{file}" for file in config["rule_files"]]
    assert rules == [f"/etc/prometheus/{name}.yml" for name in ("recording-rules", "alerts")]
    [provider] = yaml.safe_load((GRAFANA / "dashboards.yml").read_text())["providers"]
    assert f"{provider['options']['path']}/sidecar.json" in mounted
    for folder in ("datasources/datasource.yml", "dashboards/dashboards.yml"):
        assert f"/etc/grafana/provisioning/{folder}" in mounted
    for file in ("/etc/prometheus/prometheus.yml", *rules):
        assert mounted[file] == f"./deploy{file.removeprefix('/etc')}"
