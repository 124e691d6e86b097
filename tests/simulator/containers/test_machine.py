"""What builds are told of this machine: where Debian's packages are, and nothing else."""

import pytest

from simulator.containers.machine import debian_indexes, pip_settings


def test_only_debians_indexes_of_the_release() -> None:
    said = (
        "Debian\thttp://mirror/debian/\tbookworm\tmain\n"
        "Debian\thttp://mirror/debian/\tbookworm\tmain\n"
        "Debian\thttp://mirror/security/\tbookworm-security\tmain\n"
        "Debian\thttp://mirror/debian/\ttrixie\tmain\n"
        "Somebody\thttp://elsewhere/\tbookworm\tmain\n"
    )
    assert debian_indexes(said) == [
        ("http://mirror/debian/", "bookworm", "main"),
        ("http://mirror/security/", "bookworm-security", "main"),
    ]


@pytest.mark.parametrize(
    ("listed", "found"),
    [
        ("global.index-url='https://mirror/simple'", {"index-url": "https://mirror/simple"}),
        (":env:.timeout='60'\nglobal.no-cache-dir='true'", {"timeout": "60"}),
        # Folders of this machine are not there where the build looks.
        (
            "global.extra-index-url='file:///a https://mirror/more'\nglobal.find-links='/b'",
            {"extra-index-url": "https://mirror/more"},
        ),
        ("global.extra-index-url='file:///a'", {}),
        ("", {}),
    ],
)
def test_where_pip_looks(listed: str, found: dict[str, str]) -> None:
    assert pip_settings(listed) == found
