"""Families of metrics have a sample for each value."""

from sidecar.http.families import counter, gauge


def test_samples_have_their_labels() -> None:
    found = gauge("sidecar_x", "Something.", [(("a",), True), (("b",), 0.5)], ("lane",))
    assert [(one.name, one.labels, one.value) for one in found.samples] == [
        ("sidecar_x", {"lane": "a"}, 1.0),
        ("sidecar_x", {"lane": "b"}, 0.5),
    ]
    assert found.documentation == "Something."
    [total] = counter("sidecar_y", "Others.", [((), 3)]).samples
    assert (total.name, total.value) == ("sidecar_y_total", 3)
