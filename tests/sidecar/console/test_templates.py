"""The templates' surroundings: escaping, names that are not there, the navigation."""

import pytest
from jinja2 import UndefinedError

from sidecar.console.templates import NAVIGATION, environment, page_names
from tests.sidecar.console.browser import Browser


def render(source: str, **values: object) -> str:
    return environment().from_string(source).render(**values)


def test_what_is_written_is_escaped() -> None:
    hostile = "<script>\"'&</script>"
    written = render('{{ x }}<a title="{{ x }}">', x=hostile)
    assert "<script" not in written
    assert written.count("&lt;script&gt;&#34;&#39;&amp;") == 2


def test_a_name_that_is_not_there_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        render("{{ nobody }}")


async def test_the_navigation_leads_to_pages_that_are_there(operator: Browser) -> None:
    page = await operator.page("/")
    for path, title in NAVIGATION:
        is_there = not path or path.replace("-", "_") in page_names()
        assert (f'<li><a href="/sidecar/{path}"' in page) is is_there, title
    assert '<a href="/sidecar/" aria-current="page">' in page


async def test_the_search_is_on_every_page_if_there_is_one(operator: Browser) -> None:
    is_there = "search" in page_names()
    assert ('role="search"' in await operator.page("/")) is is_there


SOME = {
    "bar": '{{ ui.bar(1.7, "all of it", "good") }}{{ ui.bar(-1, "nothing") }}',
    "stacked": '{{ ui.stacked([["sent", 3, "good"], ["failed", 1, "bad"], ["x", 0, ""]], "4") }}',
    "pager": '{{ ui.pager("/a", "") }}{{ ui.pager("", "") }}{{ ui.pager("", "/b") }}',
    "nothing": '{{ ui.nothing("Nothing.") }}{{ ui.badge("held", "bad") }}',
    "table": '{% call ui.table("Numbers", ["A", ["B", "number"]]) %}<tr></tr>{% endcall %}',
}


@pytest.mark.parametrize(
    ("macro", "holds"),
    [
        ("bar", ['width="100.0"', 'width="0.0"', 'aria-label="all of it"', 'class="bar good"']),
        ("stacked", ['x="0.00" width="75.00"', 'x="75.00" width="25.00"', "failed: 1"]),
        ("pager", ['<a href="/a" rel="prev">', '<a href="/b" rel="next">']),
        ("nothing", ['<p class="muted">Nothing.</p>', '<span class="badge bad">held</span>']),
        ("table", ["<caption>Numbers</caption>", '<th scope="col" class="number">B</th>']),
    ],
)
def test_macros(macro: str, holds: list[str]) -> None:
    written = render('{% import "macros.html" as ui %}' + SOME[macro])
    for part in holds:
        assert part in written
    assert written.count("<nav") == (2 if macro == "pager" else 0)
