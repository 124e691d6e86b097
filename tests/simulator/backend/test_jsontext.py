import pytest

from simulator.backend.jsontext import depth, dump, load, read, section, shallow


def test_integers_beyond_64_bits_survive() -> None:
    data = {"a": 2**80, "ü": ["\u2028"]}
    assert load(dump(data)) == data


def test_what_is_no_object_is_empty() -> None:
    assert load(None) == load("") == load("[1]") == {}


def test_a_section_is_always_an_object() -> None:
    assert section({"a": {"b": 1}}, "a") == {"b": 1}
    assert section({"a": [1]}, "a") == section({}, "a") == {}


@pytest.mark.parametrize(
    "number", ["1.0", "10.50", "1e+22", "1e999", "0.1234567890123456789", "18446744073709551617"]
)
def test_digits_are_kept(number: str) -> None:
    text = f'{{"a":["x",{number}]}}'
    assert dump(read(text)) == text
    assert str(read(f"[{number}]")[0]) == number


def test_half_characters_and_invalid_bytes_are_replaced() -> None:
    body = b'\xef\xbb\xbf{"\\ud83d":"\\ud83d\\ude00 \\udc00 \xff \\\\ud83d"}'
    assert read(body) == {"\ufffd": "😀 \ufffd \ufffd \\ud83d"}
    assert dump({"a": "\ud83d"}) == '{"a":"\ufffd"}'


@pytest.mark.parametrize("text", ["", "[1", "[NaN]", "[" * 100_000, "[01.5]"])
def test_what_is_no_json(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        read(text)


def test_what_is_nested_too_deeply_for_a_column_becomes_a_text() -> None:
    value: list[object] = []
    for _ in range(23):
        value = [value]
    assert shallow(value) is value
    assert shallow([value]) == dump([value])
    assert depth(dump([value])) == 25
    assert depth('["' + "[" * 50 + '"]') == 1
