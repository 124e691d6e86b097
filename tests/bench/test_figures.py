from bench.figures import Series, merged, series


def test_the_ratio_is_that_within_each_run() -> None:
    """A machine that is half as fast in one run changes no ratio."""
    ours, theirs = Series((100.0, 50.0, 120.0)), Series((10.0, 5.0, 10.0))
    assert ours.over(theirs).values == (10, 10, 12)
    assert ours.over(theirs).median == 10


def test_no_ratio_over_nothing() -> None:
    assert Series((1.0, 2.0)).over(Series((0.0, 4.0))).values == (0.5,)


def test_runs_are_merged_by_system_and_metric() -> None:
    runs = [
        {"sidecar": {"per_s": 3.0}, "peer": {"per_s": 1.0}},
        {"sidecar": {"per_s": 1.0, "p99_ms": 12_345.6}},
        {"sidecar": {"per_s": 2.0}},
    ]
    found = merged(runs)
    assert found["sidecar"]["per_s"] == {
        "median": 2.0,
        "min": 1.0,
        "max": 3.0,
        "values": [3.0, 1.0, 2.0],
    }
    assert found["sidecar"]["p99_ms"]["values"] == [12_346]
    assert found["peer"]["per_s"]["values"] == [1.0]
    results = {"parts": {"ingest": {"figures": found}}}
    assert series(results, "ingest", "sidecar", "per_s") == Series((3.0, 1.0, 2.0))
    assert series(results, "ingest", "peer", "p99_ms") is None
    assert series(results, "drain", "peer", "per_s") is None
