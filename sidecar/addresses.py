"""Which addresses belong to the public Internet, and which others may be called anyway."""

import ipaddress
import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

_Address = IPv4Address | IPv6Address
_Network = IPv4Network | IPv6Network

#: Networks in IANA's special-purpose registries that are not public (RFC 6890 and its successors).
#: Written out here because ``ipaddress.is_global`` differs between versions of Python.
_NOT_PUBLIC: tuple[_Network, ...] = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local, and the metadata of clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
        "168.63.129.16/32",  # public by its number, and on Azure the platform of the machine
        "2001::/23",  # Teredo among them
        "2001:db8::/32",
        "3fff::/20",
    )
)
#: The only part of IPv6 that is given out (RFC 4291).
_UNICAST = ipaddress.ip_network("2000::/3")
#: IPv4 behind a translator (RFC 6052).
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?"
_HOST_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")


def _parse(text: str) -> _Address | None:
    """Return the address that is reached in the end: the embedded IPv4 address, if there is one."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address


def is_public(text: str) -> bool:
    """Return whether this is an address of the public Internet; False if it is not an address."""
    address = _parse(text)
    if address is None or (isinstance(address, IPv6Address) and address not in _UNICAST):
        return False
    return not any(address in network for network in _NOT_PUBLIC)


class AllowList:
    """Host names, addresses and networks that may be called although they are not public.

    Raises ``ValueError`` for an invalid entry, which it names.
    """

    def __init__(self, entries: Iterable[str] = ()) -> None:
        self._networks: list[_Network] = []
        self._names: set[str] = set()
        for entry in entries:
            name = entry.lower().rstrip(".")
            try:
                self._networks.append(ipaddress.ip_network(entry))
            except ValueError as error:
                # What ends in a number is an address to whoever connects, and no name.
                if not _HOST_NAME.fullmatch(name) or name.rpartition(".")[2].isdigit():
                    raise ValueError(
                        f"{entry!r} is neither a host name nor an address nor a network: {error}"
                    ) from None
                self._names.add(name)

    def has_name(self, host: str) -> bool:
        return host.lower().rstrip(".") in self._names

    def may_call(self, address: str) -> bool:
        """Return whether this address may be connected to."""
        if is_public(address):
            return True
        meant = _parse(address)
        return meant is not None and any(meant in network for network in self._networks)
