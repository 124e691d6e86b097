"""Answers that no Cloud API gives, to see what their reader makes of them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Garbage:
    """``trickles``: it comes byte by byte."""

    body: bytes
    status: int = 200
    trickles: bool = False


def _nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


#: Stands for the message's id, in answers that are acceptances all the same.
WAMID = b"WAMID"

_DEEP = 100_000
#: What parsers take, and other libraries do not write any more.
_RATHER_DEEP = 900
_HUGE = 8 * 1024 * 1024
_INTEGER = b"9" * 5_000

GARBAGE = {
    "nested acceptance": Garbage(b'{"messages":[{"id":"WAMID"}],"x":%s}' % _nested(_RATHER_DEEP)),
    "huge acceptance": Garbage(b'{"messages":[{"id":"WAMID"}],"x":"%s"}' % (b"x" * _HUGE)),
    "odd acceptance": Garbage(
        b'{"messages":[{"id":"WAMID","message_status":%s}],"\\u0000":1e999}' % _INTEGER
    ),
    "nested": Garbage(_nested(_DEEP)),
    "nested id": Garbage(b'{"messages":[{"id":%s}]}' % _nested(_DEEP)),
    "nested error": Garbage(b'{"error":{"code":%s}}' % _nested(_DEEP), 400),
    "huge": Garbage(b'{"messages":[{"id":"%s"}]}' % (b"x" * _HUGE)),
    "huge error": Garbage(b'{"error":{"message":"%s"}}' % (b"x" * _HUGE), 500),
    "long id": Garbage(b'{"messages":[{"id":"wamid.%s"}]}' % (b"x" * 10_000)),
    "wrong types": Garbage(b'{"messages":{"0":{"id":["wamid"]}},"contacts":7}'),
    "number": Garbage(b'{"messages":[{"id":%s}]}' % _INTEGER),
    "error number": Garbage(b'{"error":{"code":%s,"error_subcode":1e999}}' % _INTEGER, 400),
    "error types": Garbage(b'{"error":[{"code":{"a":1}}]}', 400),
    "invalid utf-8": Garbage(b'{"messages":[{"id":"\xff\xfe\xc0"}]}'),
    "surrogate": Garbage(b'{"messages":[{"id":"wamid.\\ud800"}]}'),
    "nul": Garbage(b'{"\\u0000messages":[{"\\u0000id":"\\u0000"}]}'),
    "no content": Garbage(b"", 204),
    "trickle": Garbage(b'{"messages":[{"id":"wamid.slow"}]}', trickles=True),
}
