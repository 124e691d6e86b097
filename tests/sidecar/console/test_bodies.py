"""Bodies as they are shown: of any kind, safe to look at, without secrets, masked for lookers."""

import json
import re
from typing import Any

import hypothesis
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.console import bodies
from sidecar.console.bodies import (
    MAX_BYTES,
    MAX_CHARS,
    show_body,
    show_text,
    show_value,
    visible,
)
from tests.sidecar.payloads import message_webhook, status_webhook


def clear(body: bytes) -> str:
    return str(show_body(body, clear=True).html)


def masked(body: bytes) -> str:
    return str(show_body(body, clear=False).html)


def text_of(html: str) -> str:
    """Return HTML's text, of the marks that bodies have."""
    html = str(html)
    for mark in ('<bdi class="name">', '<bdi class="text">', "</bdi>"):
        html = html.replace(mark, "")
    for entity, char in (("&lt;", "<"), ("&gt;", ">"), ("&#34;", '"'), ("&#39;", "'")):
        html = html.replace(entity, char)
    return html.replace("&amp;", "&")


def test_json_is_laid_out() -> None:
    body = b'{"a":1,"b":[true,null,{}],"c":"x","d":[]}'
    assert text_of(clear(body)) == (
        '{\n  "a": 1,\n  "b": [\n    true,\n    null,\n    {}\n  ],\n  "c": "x",\n  "d": []\n}'
    )


@pytest.mark.parametrize("make", [message_webhook, status_webhook])
def test_a_webhook_is_whole(make: Any) -> None:
    assert json.loads(text_of(clear(make()))) == json.loads(make())


def test_a_looker_sees_the_shape_and_no_person() -> None:
    value = {
        "object": "whatsapp_business_account",
        "entry": [
            {
                "id": "102290129340398",
                "changes": [
                    {
                        "field": "messages",
                        "value": {
                            "metadata": {
                                "display_phone_number": "+4930123456",
                                "phone_number_id": "106540352242922",
                            },
                            "contacts": [{"profile": {"name": "Ada"}, "wa_id": "4915112345678"}],
                            "messages": [
                                {
                                    "from": "4915112345678",
                                    "id": "wamid.HBgNNDkxNTExMjM0NTY3OBUCABEYEjdBRkZDQzg",
                                    "timestamp": "1700000000",
                                    "type": "text",
                                    "text": {"body": "Meet me at 4915187654321"},
                                    "location": {"latitude": 1.29027, "longitude": -3.5},
                                }
                            ],
                            "4915112345678": {"note": 4915112345678, "code": 131026},
                            "type": "a text that poses as a type",
                        },
                    }
                ],
            }
        ],
    }
    found = show_value(value, clear=False)
    text = text_of(found.html)
    for personal in ("Ada", "49151", "12345678", "Meet", "poses", "HBgN", "4930", "1.29", "3.5"):
        assert personal not in text
    for plain in (
        *('"object": "whatsapp_business_account"', '"timestamp": "1700000000"', '"type": "text"'),
        *('"phone_number_id": "106540352242922"', '"from": "•••• 78"', "•••• 78", "131026"),
        *('"latitude": (7 characters)', '"longitude": (4 characters)'),
        *('"body": "(24 characters)"', '"id": "wamid…BRkZDQzg"'),
    ):
        assert plain in text
    assert "Meet me" in text_of(show_value(value, clear=True).html)


@pytest.mark.parametrize(
    "body",
    [
        b'{"access_token":"hidden-1"}',
        b'{"accessToken":["hidden-1",{"x":["hidden-2"]}],"after":1}',
        b'{"api_key":{"a":{"b":"hidden-1"}}}',
        b'{"app_secret":12345678901}',
        b'{"url":"https://x.example/?a=1&access_token=hidden-1&b=2"}',
        b'{"url":"https://ada:hidden-1@x.example/"}',
        b'{"raw":"{\\"verify_token\\":\\"hidden-1\\"}"}',
        b'{"headers":"Authorization: Bearer hidden-1aaaa"}',
        b'{"text":"Bearer hidden-1aaaa"}',
        b'{"text":"EAAG0123456789abcdefghijHIDDEN"}',
        b'{"text":"sk-hidden-1aaaaaaaaaaaaaa"}',
        b"access_token=hidden-1&x=1",
        b"password: hidden-1",
        b'{"password":"hidden-1',
    ],
)
@pytest.mark.parametrize("may_see", [True, False])
def test_secrets_are_shown_to_nobody(body: bytes, may_see: bool) -> None:
    html = str(show_body(body, clear=may_see).html)
    for secret in ("hidden", "HIDDEN", "12345678901", "0123456789"):
        assert secret not in html
    assert not may_see or "[secret]" in html


def test_what_stands_beside_a_secret_is_shown() -> None:
    text = text_of(clear(b'{"accessToken":["a",{"x":["b"]}],"after":{"c":1},"d":"e"}'))
    assert "".join(text.split()) == '{"accessToken":[[secret]],"after":{"c":1},"d":"e"}'


@pytest.mark.parametrize(
    "body",
    [
        b"<script>alert(1)</script>",
        b'{"<script>alert(1)</script>":"<img src=x onerror=alert(1)>"}',
        b"[<script>,'\">]",
        b'{"a":"</pre><script>"}',
    ],
)
@pytest.mark.parametrize("may_see", [True, False])
def test_markup_is_text(body: bytes, may_see: bool) -> None:
    html = str(show_body(body, clear=may_see).html)
    for mark in ('<bdi class="name">', '<bdi class="text">', "</bdi>"):
        html = html.replace(mark, "")
    assert "<" not in html
    assert ">" not in html


def test_no_json() -> None:
    assert clear(b"hello <b>") == "hello &lt;b&gt;"
    assert masked(b"hello <b>") == "(9 characters)"
    assert masked(b"x") == "(1 character)"
    assert clear(b"") == ""
    assert text_of(clear(b'{"a": oops, "b')) == '{\n  "a": oops,\n  "b"'
    assert "oops" not in masked(b'{"a": oops, "b')
    assert text_of(clear(b"]]}")) == "]]}"
    assert text_of(clear(b"{]]}")).split() == ["{]", "]", "}"]


def test_a_byte_order_mark_and_broken_utf_8() -> None:
    assert text_of(clear(b'\xef\xbb\xbf{"a":"\xff"}')) == '{\n  "a": "\ufffd"\n}'


def test_half_an_emoji_and_what_is_invisible() -> None:
    text = text_of(clear(b'{"a":"\\ud83d","b":"x\\u202eabc\\u0000\\n","c":"\xe2\x80\xaeabc"}'))
    assert '"a": "\\ud83d"' in text
    assert '"b": "x\\u202eabc\\u0000\\u000a"' in text
    assert '"c": "\\u202eabc"' in text


def test_half_a_character_in_values() -> None:
    assert '"\\ud83d"' in text_of(str(show_value({"a": "\ud83d"}, clear=True).html))


def test_a_line_without_secrets() -> None:
    told = show_text("\u202eno answer of https://x/?access_token=hidden&a=1")
    assert told == "\\u202eno answer of https://x/?access_token=[secret]&a=1"


def test_right_to_left_text_stands_by_itself() -> None:
    html = clear('{"a":"مرحبا","b":"שלום"}'.encode())
    assert '"<bdi class="text">مرحبا</bdi>"' in html
    assert visible("مرحبا 👋🏽") == "مرحبا 👋🏽"


def test_only_the_beginning_of_3_mb_is_read() -> None:
    body = b'{"a":"' + b"x" * 3_000_000 + b'"}'
    found = show_body(body, clear=True)
    assert (found.size, found.cut) == (len(body), True)
    assert len(found.html) < 10_000
    assert "more characters" in found.html
    many = json.dumps([{"n": n} for n in range(200_000)]).encode()
    found = show_body(many, clear=False)
    assert found.cut
    assert len(found.html) < MAX_CHARS + 10_000


@pytest.mark.parametrize("bracket", [b"[", b'{"a":'])
def test_a_million_levels(bracket: bytes) -> None:
    found = show_body(bracket * 1_000_000, clear=True)
    assert found.cut
    assert len(found.html) < MAX_CHARS + 1000


class Counting:
    """A pattern that counts the characters that it reads."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self._pattern = pattern
        self.read = 0

    def search(self, text: str) -> re.Match[str] | None:
        self.read += len(text)
        return self._pattern.search(text)


@pytest.mark.parametrize("value", [b"1", b'"1"', b"[]"])
def test_a_long_name_of_many_values_is_looked_at_once(
    value: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else 64 kB hold up the process for minutes, and all webhooks with it."""
    counting = Counting(bodies._SECRET_NAME)
    monkeypatch.setattr(bodies, "_SECRET_NAME", counting)
    body = b'{"' + b"x" * 5000 + b'":[' + b",".join([value] * 1000) + b"]}"
    assert "x" * 1000 in clear(body)
    assert 0 < counting.read <= len(body)


def test_a_whole_body_is_not_cut() -> None:
    assert not show_body(message_webhook(), clear=True).cut
    assert not show_body(b"x" * MAX_BYTES, clear=True).cut


@given(
    st.binary(max_size=200) | st.text(alphabet='{}[],:"\\ \u202eax1', max_size=60).map(str.encode)
)
@example(b'{"a":"\\')
def test_anything_can_be_shown(body: bytes) -> None:
    for may_see in (True, False):
        show_body(body, clear=may_see)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-999, 999) | st.text("abc é<&>م", max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(st.lists(_JSON, max_size=4))
@hypothesis.settings(max_examples=40)
def test_what_operators_see_is_what_came(value: list[Any]) -> None:
    text = text_of(show_value(value, clear=True).html)
    assert json.loads(text) == value
