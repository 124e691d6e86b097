import pytest

from simulator.cloud_api.outage import OutageSpec
from simulator.outages import network
from simulator.outages.plan import SHAPES, Plan


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape not in network.SHAPES])
@pytest.mark.parametrize("only_sends", [False, True])
def test_the_cloud_api_takes_every_order(shape: str, only_sends: bool) -> None:
    order = Plan(shape, 60, 5000, 80, only_sends=only_sends).order("110")
    spec = OutageSpec.model_validate(order)
    assert (spec.shape, spec.seconds, spec.phone_number_id) == (shape, 60, "110")
    assert (spec.of is None) is not only_sends


def test_slow_answers_may_be_named_as_what_they_are() -> None:
    assert Plan("slow", 60, 5000, 80).named_by == ("cloud-api-down", "cloud-api-slow")
    assert Plan("html_502", 60, 5000, 80).named_by == ("cloud-api-down",)
