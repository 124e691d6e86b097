"""The console's templates, in ``sidecar/console/templates``."""

import pkgutil
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from sidecar.console import masks
from sidecar.console.filters import FILTERS
from sidecar.console.paths import ROOT
from sidecar.console.static import static_url

#: The navigation: the page's name in the path, and its title. Only pages that exist are shown.
NAVIGATION = (
    ("", "Overview"),
    ("campaigns", "Campaigns"),
    ("numbers", "Numbers"),
    ("inbox", "Inbox"),
    ("dead-letters", "Dead letters"),
    ("unknown", "Unknown outcomes"),
    ("vendors", "Vendors"),
    ("processes", "Processes"),
    ("accounting", "Accounting"),
    ("audit", "Audit"),
)


def page_names() -> list[str]:
    """Return the names of the modules of pages."""
    return sorted(
        module.name for module in pkgutil.iter_modules([str(Path(__file__).parent / "pages")])
    )


@cache
def environment() -> Environment:
    """Return the templates. What is written into them is escaped; a name that is not there is an
    error, and not nothing."""
    made = Environment(
        loader=PackageLoader("sidecar.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    names = page_names()
    made.filters |= FILTERS
    made.globals |= {
        "root": ROOT,
        "static_url": static_url,
        "phone": masks.phone,
        "text": masks.text,
        "ids": masks.ids,
        "has_search": "search" in names,
        "navigation": [
            (path, title)
            for path, title in NAVIGATION
            if not path or path.replace("-", "_") in names
        ],
    }
    return made
