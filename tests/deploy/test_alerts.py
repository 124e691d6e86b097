"""Each alert fires when it should, and is silent when it should be, as promtool computes it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from contracts.sidecar_api import METRICS
from tests.conftest import MakeSettings
from tests.deploy import monitoring
from tests.deploy.alert_cases import CASES, STEP_S, Case, Sample, samples
from tests.deploy.promtool import promtool
from tests.sidecar.service import running

FILES = ("alerts.yml", "machine-alerts.yml")
RULES = [rule for file in FILES for rule in monitoring.rules(file)]
Json = dict[str, Any]


def groups() -> dict[str, list[Json]]:
    """Return the rules by the names of their groups."""
    found = {}
    for file in FILES:
        for group in yaml.safe_load((monitoring.PROMETHEUS / file).read_text())["groups"]:
            found[group["name"]] = group["rules"]
    return found


def test_each_alert_has_its_case() -> None:
    assert [rule["alert"] for rule in RULES] == list(CASES), "one for each, in the rules' order"


def test_each_case_names_series_that_the_rule_asks_for() -> None:
    for rule in RULES:
        case = CASES[rule["alert"]]
        asked = set(re.findall(r"\b[a-z]\w+\b", rule["expr"]))
        for series in (*case.fires, *case.silent):
            assert series.partition("{")[0] in asked, rule["alert"]


def test_what_is_said_names_labels_that_the_alert_has() -> None:
    for rule in RULES:
        said = " ".join(rule["annotations"].values())
        named = set(re.findall(r"\$labels\.(\w+)", said))
        assert named <= CASES[rule["alert"]].labels.keys(), rule["alert"]


@pytest.mark.parametrize("group", groups())
def test_alerts_fire_when_they_should_and_only_then(group: str, tmp_path: Path) -> None:
    """Also with scrapes that fail, and counters that begin anew."""
    promtool(
        "test",
        "rules",
        *(
            write(tmp_path / rule["alert"], rule, rule["expr"], CASES[rule["alert"]])
            for rule in groups()[group]
        ),
    )


def write(folder: Path, rule: Json, expression: str, case: Case) -> Path:
    """Write promtool's tests of a rule with this expression, and return the file."""
    folder.mkdir()
    only = {"name": "one", "rules": [{**rule, "expr": expression}]}
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": [only]}))
    content = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": f"{STEP_S}s",
        "tests": list(of_alert(rule, case)),
    }
    file = folder / "tests.yml"
    file.write_text(yaml.safe_dump(content, width=100_000))
    return file


def of_alert(rule: Json, case: Case) -> Iterator[Json]:
    """Yield promtool's tests of an alert."""
    name = rule["alert"]
    wait_s, end_s = _seconds(rule.get("for", "0s")), case.minutes * 60
    labels = {"alertname": name, "alertstate": "firing", **rule["labels"], **case.labels}
    firing = f'ALERTS{{alertname="{name}", alertstate="firing"}}'
    here: Json = {"expr": firing, "exp_samples": [{"labels": _text("ALERTS", labels), "value": 1}]}
    nothing: Json = {"expr": firing, "exp_samples": []}
    early = [{**nothing, "eval_time": f"{wait_s - STEP_S}s"}] if wait_s else []
    for disturbed in (False, True):
        how = "disturbed" if disturbed else "plainly"
        for what, series, look in (
            ("fires", case.fires, here),
            ("is silent", case.silent, nothing),
        ):
            given = {
                one: samples(v, case.minutes, disturbed=disturbed) for one, v in series.items()
            }
            looks = [{**look, "eval_time": f"{end_s}s"}, *early]
            yield one_test(f"{name} {what} {how}", given, looks)
    for other in case.more:
        yield from of_alert(rule, other)


def one_test(name: str, series: dict[str, list[Sample]], looks: list[Json]) -> Json:
    given = [
        {"series": one, "values": " ".join("_" if v is None else repr(v) for v in values)}
        for one, values in series.items()
    ]
    return {
        "name": name,
        "interval": f"{STEP_S}s",
        "input_series": given,
        "promql_expr_test": looks,
    }


def _text(name: str, labels: Json) -> str:
    return name + "{" + ", ".join(f'{one}="{value}"' for one, value in labels.items()) + "}"


def _seconds(duration: str) -> int:
    return int(duration[:-1]) * {"s": 1, "m": 60, "h": 3600}[duration[-1]]


async def test_without_any_vendor_nothing_fires_but_that_no_worker_runs(
    make_settings: MakeSettings, redis_url: str, tmp_path: Path
) -> None:
    async with running(make_settings(), redis_url) as service:
        page = (await service.client.get(METRICS)).text
    series = [line.rpartition(" ") for line in page.splitlines() if not line.startswith("#")]
    given = [{"series": name, "values": f"{value}x90"} for name, _, value in series]
    assert len(given) > 50
    firing = 'count by (alertname) (ALERTS{alertstate="firing"})'
    look = {
        "expr": firing,
        "eval_time": "20m",
        "exp_samples": [{"labels": '{alertname="SidecarNoWorker"}', "value": 1}],
    }
    up = {"series": 'up{job="sidecar"}', "values": "1x90"}
    test = {"interval": "15s", "input_series": [up, *given], "promql_expr_test": [look]}
    rules = str(monitoring.PROMETHEUS / "alerts.yml")
    file = tmp_path / "tests.yml"
    file.write_text(yaml.safe_dump({"rule_files": [rules], "tests": [test]}, width=100_000))
    promtool("test", "rules", file)


def test_a_broken_rule_is_found(tmp_path: Path) -> None:
    """What the rest of this file relies on."""
    [rule] = [rule for rule in RULES if rule["alert"] == "SidecarInboxLong"]
    for number, wrong in enumerate((rule["expr"].replace("10000", "9999"), "vector(0) > 1")):
        file = write(tmp_path / str(number), rule, wrong, CASES["SidecarInboxLong"])
        with pytest.raises(AssertionError, match="SidecarInboxLong"):
            promtool("test", "rules", file)
