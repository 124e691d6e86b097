from random import Random

import pytest
from pydantic import ValidationError

from simulator.cloud_api.media_fault import MediaCall, MediaFaultKind, MediaFaults, MediaFaultSpec


def test_each_kind_belongs_to_a_call() -> None:
    calls = {kind: MediaFaultSpec(kind=kind).call for kind in MediaFaultKind}
    assert calls == {
        MediaFaultKind.STATUS: MediaCall.BYTES,
        MediaFaultKind.SLOW: MediaCall.BYTES,
        MediaFaultKind.CUT: MediaCall.BYTES,
        MediaFaultKind.WRONG_BYTES: MediaCall.BYTES,
        MediaFaultKind.EXPIRED: MediaCall.ADDRESS,
    }
    with pytest.raises(ValidationError, match="the call of the bytes"):
        MediaFaultSpec(kind=MediaFaultKind.CUT, at=MediaCall.ADDRESS)


def test_a_rule_hits_as_often_as_it_says() -> None:
    faults = MediaFaults(Random(1))
    faults.add(MediaFaultSpec(kind=MediaFaultKind.CUT, times=1, media_id="1"))
    assert faults.hit(MediaCall.ADDRESS, "1") is None
    assert faults.hit(MediaCall.BYTES, "2") is None
    assert faults.hit(MediaCall.BYTES, "1") is not None
    assert faults.hit(MediaCall.BYTES, "1") is None
    assert [hits for _, hits in faults.list()] == [1]
    assert faults.clear() == 1
    assert faults.list() == []


def test_a_share_of_the_calls() -> None:
    faults = MediaFaults(Random(1))
    faults.add(MediaFaultSpec(kind=MediaFaultKind.STATUS, at=MediaCall.ADDRESS, share=0.5))
    hits = sum(faults.hit(MediaCall.ADDRESS, "1") is not None for _ in range(1000))
    assert 400 < hits < 600
