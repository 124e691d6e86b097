"""Text that JSON does not allow takes no update along."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import backend as contract
from tests.contracts.hypotheses import unhurried
from tests.workers.payloads import message, webhook
from tests.workers.splitting import element, split
from workers.inbox.clean import clean, cut, mend

BODY = webhook(messages=[message("99911", "wamid.1", note="HERE"), message("99922", "wamid.2")])


@pytest.mark.parametrize(
    ("sent", "mended"),
    [
        (b"a\xffb", "a\ufffdb"),
        (b"a\xed\xa0\x80b", "a\ufffd\ufffd\ufffdb"),
        (b"a\\ud83db", "a\ufffdb"),
        (b"a\\uDE00\\uD83Db", "a\ufffd\ufffdb"),
        (b"a\\ud83d\\ude00b", "a\U0001f600b"),
        (b"a\\ud83d\\ud83d\\ude00b", "a\ufffd\U0001f600b"),
        (b"a\\\\ud83db", "a\\ud83db"),
        (b"a\\\\\\ud83db", "a\\\ufffdb"),
        ("aüb".encode(), "aüb"),
    ],
)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_text_that_json_does_not_allow_is_mended(sent: bytes, mended: str, mark: bytes) -> None:
    first, second = split(mark + BODY.replace(b"HERE", sent))
    assert first.wamid == "wamid.1"
    assert element(first)["note"] == mended
    assert second.kind is not None
    contract.Update.model_validate_json(first.as_update())


@unhurried
@given(st.text())
def test_what_is_right_stays_as_it_is(text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    for body in (orjson.dumps(text), ascii_json(text)):
        assert clean(body) == body


def ascii_json(text: str) -> bytes:
    return json.dumps(text).encode()


@unhurried
@given(
    st.recursive(st.none() | st.text() | st.floats(allow_nan=False, allow_infinity=False), st.lists)
)
def test_what_can_be_read_is_not_mended(value: object) -> None:
    for body in (json.dumps(value).encode(), json.dumps(value, ensure_ascii=False).encode()):
        assert mend(body) == body


@pytest.mark.parametrize("sent", [b"\\ud83c", b"\\udf00x", b"\xff", b"\xed\xa0\x80", b"\\u0000"])
def test_names_of_members_are_mended_too(sent: bytes) -> None:
    """Names that begin with NUL are none of an object in PHP."""
    first, second = split(BODY.replace(b'"note":', b'"' + sent + b'":'))
    [name] = set(element(first)) - {"from", "id", "timestamp", "type"}
    assert name.startswith("\ufffd")
    assert [first.wamid, second.wamid] == ["wamid.1", "wamid.2"]


@pytest.mark.parametrize(
    "text", ['{"a":"\\u0000b"}', '{"a\\u0000":1}', '{"a":"\\"\\u0000\\":"}', '["\\u0000",":"]']
)
def test_nul_in_values_stays(text: str) -> None:
    assert clean(text.encode()) == text.encode()


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"NaN", None),
        (b"-Infinity", None),
        (b"Infinity", None),
        (b"undefined", None),
        (b"007", None),
        (b"0x1F", None),
        (b"-1.5e3", -1500.0),
        (b"[1,2,]", [1, 2]),
        (b'{"a":1 , }', {"a": 1}),
        (b'"a\nb\tc\x00"', "a\nb\tc\0"),
        (b'"a\\x41"', "a\ufffdx41"),
        (b'"a\\u12"', "a\ufffdu12"),
        (b'"it\\- is"', "it\ufffd- is"),
        (b'"NaN, \\\\"', "NaN, \\"),
    ],
)
def test_what_is_no_json_inside_a_value_is_mended(sent: bytes, expected: object) -> None:
    first, second = split(BODY.replace(b'"HERE"', sent))
    assert element(first)["note"] == expected
    assert second.wamid == "wamid.2"
    assert contract.Update.model_validate_json(first.as_update())


@unhurried
@given(st.binary(max_size=60))
def test_whatever_it_is_mended_to_can_be_mended_again(junk: bytes) -> None:
    once = mend(clean(junk))
    assert mend(once) == once or not _is_json(once)


def _is_json(body: bytes) -> bool:
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return True


@pytest.mark.parametrize(("opens", "closes"), [("[", "]"), ('{"a":', "}"), ('["[[",', "]")])
def test_what_is_nested_too_deeply_is_cut_out(opens: str, closes: str) -> None:
    def nested(levels: int) -> str:
        return opens * levels + "1" + closes * levels

    for levels in (1, 400):
        assert cut(nested(levels).encode()) == nested(levels).encode()
    whole = f"[{nested(5000)},2,{nested(401)},{nested(7)}]"
    found = cut(whole.encode()).decode()
    short = nested(399).replace("1", "null")
    assert found == f"[{short},2,{short},{nested(7)}]"
    assert cut(b"[" * 1000) == b"[" * 400
