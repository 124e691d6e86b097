"""``docs/settings.md`` and ``sidecar.example.toml``: every setting, and up to date."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from sidecar import settings_page
from sidecar.settings import Settings


def rows() -> dict[str, list[str]]:
    """Return the cells of each setting's row."""
    lines = settings_page.render_page().splitlines()
    cells = [line.strip("| ").split(" | ") for line in lines if line.startswith("| `")]
    return {cell[0].strip("`"): cell[1:] for cell in cells}


def test_every_setting_is_explained() -> None:
    found = list(settings_page.settings())
    assert [one.name for one in found] == list(Settings.model_fields)
    assert [one.name for one in found if not one.meaning.endswith(".")] == []
    assert [one.name for one in found if not one.section] == []


@pytest.mark.parametrize(
    ("name", "kind", "default", "unit", "bounds"),
    [
        ("backend_url", "text", "required", "", ""),
        ("redis_url", "text", "not set", "", ""),
        ("port", "integer", "`8600`", "", "0 to 65535"),
        ("proxy_keep_failed", "true or false", "`true`", "", ""),
        ("signing_keys", "`id:secret`, separated by commas", "required", "", ""),
        ("app_secrets", "list, or separated by commas", "not set", "", ""),
        ("webhook_signature", "`enforce`, `report`", "`enforce`", "", ""),
        ("webhook_body_limit_bytes", "integer", "`4194304` (4 MiB)", "bytes", "1024 or more"),
        ("rate_share", "number", "`0.99`", "fraction", "above 0, up to 1"),
        ("log_format", "text", "`json`", "", "`json`, `console`"),
        ("data_dir", "path", "`var`", "", ""),
    ],
)
def test_a_row(name: str, kind: str, default: str, unit: str, bounds: str) -> None:
    assert [cell.strip() for cell in rows()[name][:4]] == [kind, default, unit, bounds]


def test_an_example() -> None:
    text = settings_page.render_example()
    assert '\nbackend_url = "http://127.0.0.1:8000"\n' in text
    assert '# Default: not set.\n#redis_url = "redis://127.0.0.1:6379/0"\n' in text
    assert "# Value: s, 10 to 3600.\n#signing_window_s = 300\n" in text
    assert "\n#proxy_keep_failed = true\n" in text
    assert "\n#outbound_allow = []\n" in text


def test_the_pages_are_up_to_date() -> None:
    result = CliRunner().invoke(settings_page.main, ["--check"])
    assert result.exit_code == 0, result.output


def test_a_page_that_is_out_of_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "settings.md"
    monkeypatch.setattr(settings_page, "PAGES", {page: settings_page.render_page})
    for content in (None, "old"):
        if content:
            page.write_text(content)
        result = CliRunner().invoke(settings_page.main, ["--check"])
        assert result.exit_code == 1
        assert "make settings-page" in result.output
    assert CliRunner().invoke(settings_page.main, []).exit_code == 0
    assert page.read_text() == settings_page.render_page()
