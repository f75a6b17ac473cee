"""Where the operator may send something: URLs, the hosts that are allowed, and their addresses.

A URL comes from whoever may write a runbook, so it is hostile until it fits a narrow grammar; only
what was read here is dialled, never the text itself. A host is allowed when the operator's
configuration lists it, and an address that belongs to this machine, to its link or to a cloud's
metadata service only when the URL names that very address.
"""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from backstop.adapters.text import one_line
from backstop.ports import InvalidError

_SHOWN: Final = 120
_URL: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:(?P<port>[0-9]{1,5}))?"
    r"(?P<rest>(?:[/?][!$-;=?-\[\]_a-z~]*)?)",
    re.IGNORECASE | re.ASCII,
)
_RULE: Final = re.compile(
    r"(?P<wild>\*\.)?(?P<host>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:(?P<port>[0-9]{1,5}))?",
    re.IGNORECASE | re.ASCII,
)
_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_LONGEST_NAME: Final = 253
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_HIGHEST_PORT: Final = 65_535
_LOCALHOST: Final = "localhost"
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
# Those that are not link-local: AWS, the credentials of EKS, Google and Scaleway on IPv6; Alibaba,
# Azure, Oracle.
_METADATA: Final = frozenset(
    map(
        ipaddress.ip_address,
        (
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
            "fd00:42::42",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
        ),
    )
)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Destination:
    """A URL in parts; ``host`` is in lower case, without brackets and without a dot at its end."""

    scheme: str
    host: str
    port: int
    rest: str = "/"

    @property
    def place(self) -> str:
        """The host and its port, as the configuration lists them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The URL, made from the parts."""
        return f"{self.scheme}://{self.place}{self.rest}"


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of an allow-list; without a port it means that of http or https."""

    host: str
    port: int | None = None
    below: bool = False

    def allows(self, destination: Destination) -> bool:
        """Return whether ``destination`` is meant."""
        port = self.port or _DEFAULT_PORTS[destination.scheme]
        if self.below:
            fits = destination.host.endswith(f".{self.host}")
        else:
            fits = destination.host == self.host
        return fits and destination.port == port


@dataclass(frozen=True, slots=True)
class Allowed:
    """The destinations that ``key`` of the operator's configuration allows; none by default."""

    rules: tuple[Rule, ...] = ()
    key: str = "webhooks.allowedHosts"

    @classmethod
    def of(cls, entries: Iterable[str]) -> Self:
        """Return what an allow-list says.

        Raises:
            ValueError: an entry is none; the message says how to write it.
        """
        return cls(tuple(map(rule, entries)))

    def allows(self, destination: Destination) -> bool:
        """Return whether some entry means ``destination``."""
        return any(one.allows(destination) for one in self.rules)


def rule(entry: str) -> Rule:
    """Return what ``host``, ``host:port`` or ``*.suffix`` means.

    Raises:
        ValueError: it is none of them.
    """
    match = _RULE.fullmatch(entry)
    host = _host(match["host"]) if match else ""
    port = _port(match["port"]) if match else None
    below = bool(match and match["wild"])
    if match is None or not host or port == 0 or (below and address(host) is not None):
        said = one_line(entry, _SHOWN)
        raise ValueError(
            f"{said!r} is no host: write for example hooks.example.com, 10.0.0.7:8443 or"
            " *.example.com, without a path"
        )
    return Rule(host, port, below)


def parse(url: str) -> Destination:
    """Return the parts of ``url``.

    Raises:
        InvalidError: it is not ``http(s)://host[:port]/path``; credentials and fragments are
            refused, as are hosts in any other form than a name or a plain address.
    """
    match = _URL.fullmatch(url)
    host = _host(match["host"]) if match else ""
    port = _port(match["port"]) if match else None
    if match is None or not host or port == 0:
        raise InvalidError(
            f"cannot call {one_line(url.split('?', 1)[0], _SHOWN)!r}: write"
            " http(s)://host[:port]/path in plain ASCII, without user, password or fragment"
        )
    scheme = match["scheme"].lower()
    rest = match["rest"] if match["rest"].startswith("/") else f"/{match['rest']}"
    return Destination(scheme, host, port or _DEFAULT_PORTS[scheme], rest)


def _port(text: str | None) -> int | None:
    """Return the number, None where there is none, 0 where it is no port."""
    if text is None:
        return None
    number = int(text)
    return number if number <= _HIGHEST_PORT else 0


def _host(text: str) -> str:
    """Return the host in its one form, "" where it has none."""
    host = text.lower()
    if host.startswith("["):
        return _canonical(host[1:-1], ipaddress.IPv6Address)
    host = host.removesuffix(".")
    labels = host.split(".")
    # A resolver takes 2130706433, 0x7f.1 and 127.1 for addresses, although they look like names.
    if _NUMBER.fullmatch(labels[-1]):
        return _canonical(host, ipaddress.IPv4Address)
    valid = len(host) <= _LONGEST_NAME and all(map(_LABEL.fullmatch, labels))
    return host if valid else ""


def _canonical(host: str, kind: type[ipaddress.IPv4Address] | type[ipaddress.IPv6Address]) -> str:
    try:
        return str(kind(host))
    except ValueError:
        return ""


def address(host: str) -> Address | None:
    """Return ``host`` as an address, None when it is a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def refuses(destination: Destination, resolved: str) -> bool:
    """Return whether ``resolved``, to which the host of ``destination`` leads, is out of bounds.

    That is so for loopback, link-local, unspecified, multicast and reserved addresses and for
    those of metadata services, in whatever form they are wrapped, unless the URL names the address
    itself. ``localhost`` may lead to loopback.
    """
    found = address(resolved.partition("%")[0])
    if found is None:
        return True
    if address(destination.host) == found:
        return False
    inner = _unwrapped(found)
    if destination.host == _LOCALHOST and inner.is_loopback:
        return False
    return (
        inner.is_loopback
        or inner.is_link_local
        or inner.is_unspecified
        or inner.is_multicast
        or inner.is_reserved
        or inner in _METADATA
    )


def _unwrapped(found: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, else the address itself."""
    if isinstance(found, ipaddress.IPv4Address):
        return found
    if found in _NAT64:
        return ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
    return found.ipv4_mapped or found.sixtofour or (found.teredo or (None, None))[1] or found
