"""Addresses that may be called: none of this machine, its networks or its host's, unless a setting lists them.

Law: an IPv6 address that carries an IPv4 address is judged by that one.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

from shared.errors import InvalidInput, ServiceUnavailable, invalid

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
#: Addresses of clouds and protocols that Python's registry calls global.
_INTERNAL = tuple(
    ipaddress.ip_network(each) for each in ("168.63.129.16/32", "192.0.0.0/24", "100.64.0.0/10", "fec0::/10")
)
#: IPv4 addresses in the last 32 bits: compatible ones, and NAT64.
_CARRIERS = tuple(ipaddress.ip_network(each) for each in ("::/96", "64:ff9b::/96", "64:ff9b:1::/48"))
MOST_CHARACTERS = 2000
INTERNAL = "{host} is an internal address, which webhooks don't reach unless WEBHOOK_NETWORKS lists it"


def is_allowed(address: Address, networks: Sequence[Network]) -> bool:
    """Return whether an address may be called.

    >>> is_allowed(ipaddress.ip_address("::ffff:169.254.169.254"), ())
    False
    """
    return is_listed(address, networks) or _is_public(address)


def is_listed(address: Address, networks: Sequence[Network]) -> bool:
    """Return whether an address is in one of the networks."""
    return any(address in network for network in networks)


def _is_public(address: Address) -> bool:
    if carried := _carried(address):
        return all(_is_public(each) for each in carried)
    odd = address.is_multicast or address.is_reserved or address.is_unspecified or address.is_loopback
    return address.is_global and not odd and not is_listed(address, _INTERNAL)


def _carried(address: Address) -> list[ipaddress.IPv4Address]:
    """Return the IPv4 addresses in an IPv6 address: mapped, compatible, 6to4, Teredo, NAT64."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    last = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    found = [last] if address.ipv4_mapped is not None or is_listed(address, _CARRIERS) else []
    return [*found, *([address.sixtofour] if address.sixtofour is not None else []), *(address.teredo or ())]


def resolve(host: str, port: int, networks: Sequence[Network]) -> list[Address]:
    """Return the addresses of a host, each of which may be called.

    Raises
    ------
    InvalidInput
        One of them is internal.
    ServiceUnavailable
        The name has no address now.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise ServiceUnavailable(f"{host} has no address") from None
    addresses = [ipaddress.ip_address(str(each[4][0])) for each in found]
    if not addresses or not all(is_allowed(each, networks) for each in addresses):
        raise InvalidInput(INTERNAL.format(host=host))
    return addresses


def require_target(url: str, networks: Sequence[Network]) -> None:
    """Check an address that somebody types, without asking DNS: the name is resolved whenever it is called.

    Raises
    ------
    InvalidInput
        It is no `https` address (or `http` of one that the setting lists), or names an internal one.
    """
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        raise invalid("url", "the port is not one") from None
    host = parts.hostname or ""
    plain = all("!" <= each <= "~" for each in url) and "\\" not in url and len(url) <= MOST_CHARACTERS
    if not plain or parts.scheme not in ("http", "https") or not host or "@" in parts.netloc or parts.fragment:
        raise invalid("url", "expected an address such as https://example.com/hook, in ASCII, without user or #")
    numbers = _numeric(host, port or 443)
    names = host.rstrip(".") == "localhost" or host.rstrip(".").endswith((".localhost", ".internal", ".local"))
    if not all(is_allowed(each, networks) for each in numbers) or (names and not networks):
        raise invalid("url", INTERNAL.format(host=host))
    if parts.scheme == "http" and not networks:
        raise invalid("url", "expected https: the address is outside the networks that WEBHOOK_NETWORKS lists")


def _numeric(host: str, port: int) -> list[Address]:
    """The address that a host is, in any form that the system reads (`127.1`, `0x7f000001`); empty for a name."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return []
    return [ipaddress.ip_address(str(each[4][0])) for each in found]
