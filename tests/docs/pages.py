"""The pages that people read, and what can be referred to in them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    [*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "contracts").rglob("*.md")],
    key=str,
)

_FENCE = re.compile(r"(?ms)^ *```.*?^ *```$")


def prose(page: Path) -> str:
    """Return a page without its blocks of code."""
    return _FENCE.sub("", page.read_text())


def code(page: Path) -> str:
    """Return a page's blocks of code."""
    return "\n".join(_FENCE.findall(page.read_text()))


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives a page's headings."""
    return {_anchor(title) for title in re.findall(r"(?m)^#+ (.+)$", prose(page))}


def _anchor(title: str) -> str:
    plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title).lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
