from pathlib import Path
from typing import Any

import pytest

import contracts
from simulator.backend.envelope import identifier, phone_number_id, split
from simulator.backend.jsontext import read

VECTORS = read((Path(contracts.__file__).parent / "vectors" / "fields.json").read_bytes())


@pytest.mark.parametrize("case", VECTORS["changes"], ids=lambda case: case["name"])
def test_what_a_change_is_split_into(case: Any) -> None:
    found = []
    for part in split({"entry": [{"changes": [case["change"]]}]}):
        found.append({"kind": part.kind.value, "element": part.element})
        if part.contact:
            found[-1]["contact"] = part.contact
        change = {"field": part.field, "value": part.value}
        assert list(split({"entry": [{"changes": [change]}]})) == [part]
    assert found == case["updates"]


@pytest.mark.parametrize(("value", "text"), VECTORS["ids"])
def test_what_an_id_is(value: Any, text: str | None) -> None:
    assert identifier(value) == text


def test_a_number_may_be_a_number() -> None:
    assert phone_number_id({"metadata": {"phone_number_id": "77"}}) == "77"
    assert phone_number_id({"metadata": {"phone_number_id": 77}}) == "77"
    assert phone_number_id({"metadata": [77]}) is None


@pytest.mark.parametrize("value", [None, "x", [], 5])
def test_a_change_of_any_value_is_an_update(value: Any) -> None:
    [part] = split({"entry": [None, {"changes": [7, {"field": "x", "value": value}]}]})
    assert (part.kind, part.field, part.value) == ("change", "x", {})
