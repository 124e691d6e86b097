"""The compose file and what the run changes in it."""

import re

from simulator.containers.compose import FILE, LEFT_OUT, OVERRIDE, read_services, start_order
from simulator.containers.load import GATEWAY, make_variables

SERVICES = read_services(FILE)
CHANGES = read_services(OVERRIDE)


def test_services_start_after_those_that_they_wait_for() -> None:
    order = start_order(SERVICES)
    assert set(order) == SERVICES.keys()
    for name, service in SERVICES.items():
        for other in service.get("depends_on", ()):
            assert order.index(other) < order.index(name)
    assert order[-1] == "nginx"


def test_only_images_the_cloud_api_and_the_door_are_changed() -> None:
    """Whatever else is changed, that is not what users run."""
    assert CHANGES.keys() <= SERVICES.keys()
    for name, change in CHANGES.items():
        if "build" in change:
            assert change.keys() == {"build"}
            assert "build" not in SERVICES[name], "it is ours, and needs no stand-in"
        elif name == "nginx":
            assert change == {"ports": ["127.0.0.1:${NGINX_PORT}:8080"]}
        else:
            assert change.keys() == {"environment"}
            assert not change["environment"].keys() & SERVICES[name]["environment"].keys()


def test_everything_that_the_files_ask_for_is_given() -> None:
    asked = set(re.findall(r"\$\{(\w+)", FILE.read_text() + OVERRIDE.read_text()))
    assert asked == make_variables((1, 2)).keys()


def test_every_image_but_those_left_out_can_be_made() -> None:
    without = {name for name in SERVICES if "build" not in SERVICES[name] | CHANGES.get(name, {})}
    assert without == set()
    assert {"grafana"} == LEFT_OUT


def test_the_cloud_api_is_found_at_the_networks_gateway() -> None:
    assert f"subnet: {GATEWAY.rpartition('.')[0]}.0/24" in FILE.read_text()
