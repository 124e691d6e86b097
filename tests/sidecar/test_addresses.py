"""Which addresses may be called."""

import ipaddress

import pytest

from sidecar.addresses import AllowList, is_public

PRIVATE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "168.63.129.16",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:0:10.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:102:304::f5ff:fffe",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2002:c0a8:101::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%lo",
    "fec0::1",
    "ff02::1",
    "not an address",
    "",
    "2130706433",
    "0177.0.0.1",
    "0x7f.1",
    "127.1",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "100.63.255.255",
    "100.128.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.1",
    "223.255.255.255",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2002:808:808::1",
    "2001:200::1",
    "2606:4700:4700::1111",
    "3ffe::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_not_public(address: str) -> None:
    assert not is_public(address)
    assert not AllowList().may_call(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    assert is_public(address)
    assert AllowList().may_call(address)


def test_nothing_that_python_knows_to_be_private_is_public() -> None:
    """A walk over the first and last addresses of every network of size /8 and /16 in IPv4."""
    for start in range(0, 2**32, 2**16):
        for number in (start, start + 2**16 - 1):
            address = ipaddress.IPv4Address(number)
            if not address.is_global or address.is_multicast or address.is_reserved:
                assert not is_public(str(address)), address


@pytest.mark.parametrize(
    ("entry", "address"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("10.0.0.0/8", "10.200.0.1"),
        ("127.0.0.0/8", "::ffff:127.0.0.1"),
        ("10.0.0.0/8", "64:ff9b::10.0.0.1"),
        ("::1", "::1"),
        ("fd00::/8", "fd12::1"),
    ],
)
def test_an_address_that_is_allowed_all_the_same(entry: str, address: str) -> None:
    allowed = AllowList([entry])
    assert allowed.may_call(address)
    assert not allowed.may_call("192.168.0.1")
    assert not allowed.may_call("::2")
    assert allowed.may_call("1.1.1.1")


def test_a_name_that_is_allowed() -> None:
    allowed = AllowList(["Flowise.internal.", "localhost"])
    assert allowed.has_name("flowise.internal")
    assert allowed.has_name("FLOWISE.INTERNAL.")
    assert allowed.has_name("localhost")
    assert not allowed.has_name("x.flowise.internal")
    assert not allowed.may_call("127.0.0.1"), "only by its name"


@pytest.mark.parametrize(
    "entry",
    ["", "*", "*.internal", "10.0.0.1/8", "10.0.0.0/33", "a b", "http://a", "a:80", "127.1", "1"],
)
def test_an_entry_that_is_nothing(entry: str) -> None:
    with pytest.raises(ValueError, match="neither a host name nor an address nor a network"):
        AllowList(["fine.example", entry])
