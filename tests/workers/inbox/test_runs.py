"""What stands side by side and is left as it is, is one run."""

from msgspec import Raw

from contracts.backend import UpdateKind
from workers.inbox.runs import MAX_SHARED_BYTES, Run, envelope_fault, merged


def test_like_runs_are_one() -> None:
    def run(kind: UpdateKind | None, content: bytes, **more: str) -> Run:
        return Run("changes", kind, [Raw(content)], **more)  # type: ignore[arg-type]

    runs = [
        run(UpdateKind.CHANGE, b"1"),
        run(UpdateKind.CHANGE, b"2"),
        run(None, b"3", fault="a"),
        run(None, b"4", fault="b"),
        run(None, b"5", fault="b"),
        run(None, b"6", ignored="b"),
        run(UpdateKind.MESSAGE, b"7"),
        run(UpdateKind.MESSAGE, b"8"),
    ]
    found = [[bytes(raw) for raw in one.elements] for one in merged(runs)]
    assert found == [[b"1", b"2"], [b"3"], [b"4", b"5"], [b"6"], [b"7"], [b"8"]]


def test_what_stands_around_says_why_it_cannot_be_read() -> None:
    assert envelope_fault(b'{"a":1}') is None
    for length in (0, MAX_SHARED_BYTES):
        deep = b'{"a":"' + b"x" * length + b'","b":' + b"[" * 200 + b"]" * 200 + b"}"
        assert envelope_fault(deep) == "in what stands around it, it has more than 170 levels"
