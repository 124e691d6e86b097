from simulator.backend.jsontext import dump, load, section


def test_integers_beyond_64_bits_survive() -> None:
    data = {"a": 2**80, "ü": ["\u2028"]}
    assert load(dump(data)) == data


def test_what_is_no_object_is_empty() -> None:
    assert load(None) == load("") == load("[1]") == {}


def test_a_section_is_always_an_object() -> None:
    assert section({"a": {"b": 1}}, "a") == {"b": 1}
    assert section({"a": [1]}, "a") == section({}, "a") == {}
