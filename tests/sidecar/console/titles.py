"""What PHP calls vendors."""

import pytest

from sidecar.console.vendor_titles import VendorTitles


def call_vendors(monkeypatch: pytest.MonkeyPatch, titles: dict[str, str]) -> None:
    """Have PHP call vendors so, by their uids."""

    async def get(self: VendorTitles) -> dict[str, str]:
        return titles

    monkeypatch.setattr(VendorTitles, "get", get)
