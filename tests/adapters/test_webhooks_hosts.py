"""Only hosts that are listed are ever dialled, however a URL is written."""

import contextlib
import ipaddress
import socket
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.adapters.receiver import Access

from backstop.adapters.destinations import Allowed, parse, rule
from backstop.adapters.webhooks import SignedWebhooks
from backstop.core.messages import WebhookCall
from backstop.ports import ForbiddenError, InvalidError, OutsideError, UnavailableError

PUBLIC = "203.0.113.9"
METADATA = "169.254.169.254"


class Network:
    """Resolves as told, and notes what is looked up and dialled; nothing is ever connected."""

    def __init__(self, addresses: Sequence[str] = (PUBLIC,)) -> None:
        self.addresses = addresses
        self.asked: list[str] = []
        self.dialled: list[tuple[str, int]] = []

    async def resolve(self, host: str, _: int) -> Sequence[str]:
        self.asked.append(host)
        return self.addresses

    def dial(self, info: Any) -> socket.socket:
        self.dialled.append(info[-1][:2])
        raise OSError("no test leaves this machine")

    async def call(self, url: str, *allowed: str) -> OutsideError:
        """Call, and return how it failed."""
        access = Access(Allowed.of(allowed))
        webhooks = SignedWebhooks(access, resolve=self.resolve, dial=self.dial)
        with pytest.raises(OutsideError) as caught:
            await webhooks.call(WebhookCall("a", url, "{}", 5.0))
        return caught.value


@pytest.mark.parametrize(
    ("entry", "url", "dialled"),
    [
        ("hooks.example.com", "http://hooks.example.com/x", (PUBLIC, 80)),
        ("hooks.example.com", "https://hooks.example.com", (PUBLIC, 443)),
        ("hooks.example.com", "https://HOOKS.Example.COM./x", (PUBLIC, 443)),
        ("Hooks.Example.com.", "https://hooks.example.com/x", (PUBLIC, 443)),
        ("hooks.example.com", "https://hooks.example.com:443/x", (PUBLIC, 443)),
        ("hooks.example.com:8443", "https://hooks.example.com:8443/x", (PUBLIC, 8443)),
        ("*.example.com", "https://a.b.example.com?x=1", (PUBLIC, 443)),
        ("*.example.com:81", "http://a.example.com:81/", (PUBLIC, 81)),
        ("10.0.0.7:8080", "http://10.0.0.7:8080/", ("10.0.0.7", 8080)),
        ("127.0.0.1:9", "http://127.0.0.1:9/", ("127.0.0.1", 9)),
        ("[::1]:9", "http://[0:0:0:0:0:0:0:1]:9/", ("::1", 9)),
        ("[2001:DB8::1]", "http://[2001:db8::1]/", ("2001:db8::1", 80)),
    ],
)
async def test_a_listed_host_is_dialled_at_its_checked_address(entry, url, dialled):
    """Case, a dot at the end and the scheme's own port make no difference."""
    network = Network()
    error = await network.call(url, entry)
    assert network.dialled == [dialled]
    assert isinstance(error, UnavailableError)
    assert len(network.asked) <= 1


@pytest.mark.parametrize(
    ("entry", "url"),
    [
        ("hooks.example.com", "http://evil.com/"),
        ("hooks.example.com", "http://hooks.example.com.evil.com/"),
        ("hooks.example.com", "http://evilhooks.example.com/"),
        ("hooks.example.com", "http://hooks.example.com:8080/"),
        ("hooks.example.com:8443", "https://hooks.example.com/"),
        ("hooks.example.com:80", "https://hooks.example.com/"),
        ("*.example.com", "http://example.com/"),
        ("*.example.com", "http://evilexample.com/"),
        ("*.example.com", "http://example.com.evil.com/"),
        ("127.0.0.1", "http://127.0.0.2/"),
        ("127.0.0.1", "http://localhost/"),
        ("10.0.0.7", "http://[::ffff:10.0.0.7]/"),
    ],
)
async def test_what_is_not_listed_is_forbidden(entry, url):
    """Neither a look-up nor a connection happens."""
    network = Network()
    assert isinstance(await network.call(url, entry), ForbiddenError)
    assert (network.asked, network.dialled) == ([], [])


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com@evil.com/",
        "http://evil.com@hooks.example.com/",
        "http://user:word@hooks.example.com/",
        "http://hooks.example.com#@evil.com/",
        "http://hooks.example.com\\@evil.com/",
        "http://hooks.example.com /",
        " http://hooks.example.com/",
        "http://hooks.example.com/\r\nX: y",
        "http://hooks.example.com/\n",
        "http://hooks.example.com%2eevil.com/",
        "http://hooks。example.com/",
        "http://ⓗooks.example.com/",
        "http://hooks..example.com/",
        "http://hooks.example.com../",
        "http://-hooks.example.com/",
        "http://hooks.example.com:/",
        "http://hooks.example.com:0/",
        "http://hooks.example.com:65536/",
        "http://hooks.example.com:٨٠/",
        "http:///hooks.example.com/",
        "http:hooks.example.com",
        "//hooks.example.com/",
        "ftp://hooks.example.com/",
        "file:///etc/passwd",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.1/",
        "http://127.1/",
        "http://0177.0.0.1/",
        "http://127.0.0.1.:99999/",
        "http://1.2.3.4.5/",
        "http://[::1/",
        "http://[fe80::1%25eth0]/",
        "http://[v1.x]/",
        "http://[127.0.0.1]/",
        "",
    ],
)
async def test_tricky_urls_are_refused(url):
    """What could be read in two ways is not read at all, and the message says what to write."""
    network = Network()
    listed = ("hooks.example.com", "127.0.0.1", "[::1]", "evil.com", "*.com")
    error = await network.call(url, *listed)
    assert isinstance(error, InvalidError)
    assert "write http(s)://host[:port]/path" in str(error)
    assert (network.asked, network.dialled) == ([], [])


@pytest.mark.parametrize(
    "address",
    [
        METADATA,
        "169.254.0.1",
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",  # noqa: S104 - refused
        "255.255.255.255",
        "224.0.0.1",
        "240.0.0.1",
        "100.100.100.200",
        "168.63.129.16",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%2",
        "ff02::1",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
        "fd00:42::42",
        "::ffff:169.254.169.254",
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "64:ff9b::169.254.169.254",
        "2002:a9fe:a9fe::1",
        "nonsense",
    ],
)
@pytest.mark.parametrize("entry", ["hooks.example.com", "*.example.com"])
async def test_a_name_that_leads_inside_is_refused(entry, address):
    """One such address among good ones spoils the name; nothing is dialled."""
    network = Network([PUBLIC, address])
    error = await network.call("http://hooks.example.com/", entry)
    assert isinstance(error, ForbiddenError)
    assert "webhooks.allowedHosts" in str(error)
    assert network.dialled == []


@pytest.mark.parametrize("address", ["10.0.0.7", "192.168.1.1", "fd12:3456::1", PUBLIC])
async def test_addresses_of_the_cluster_are_fine(address):
    """Services live at private addresses, so these are not refused."""
    network = Network([address])
    await network.call("http://hooks.example.com/", "hooks.example.com")
    assert network.dialled == [(address, 80)]


async def test_localhost_leads_only_to_this_machine():
    """Listed literally it may be dialled, unless it resolves to something else that is refused."""
    here, there = Network(["::1"]), Network([METADATA])
    await here.call("http://localhost:99/", "localhost:99")
    await there.call("http://localhost:99/", "localhost:99")
    assert here.dialled == [("::1", 99)]
    assert there.dialled == []


async def test_an_address_that_changes_is_not_asked_for_twice():
    """The checked address is dialled; a resolver that would answer differently has no say."""
    network = Network()
    answers = [[PUBLIC], [METADATA]]

    async def rebinding(host: str, _: int) -> Sequence[str]:
        network.asked.append(host)
        return answers.pop(0)

    access = Access(Allowed.of(["hooks.example.com"]))
    webhooks = SignedWebhooks(access, resolve=rebinding, dial=network.dial)
    url = "http://hooks.example.com/"
    with pytest.raises(UnavailableError):
        await webhooks.call(WebhookCall("a", url, "{}", 5.0))
    assert network.asked == ["hooks.example.com"]
    with pytest.raises(ForbiddenError):
        await webhooks.call(WebhookCall("b", url, "{}", 5.0))
    assert network.dialled == [(PUBLIC, 80)]


@pytest.mark.parametrize("failure", [OSError("no"), None])
async def test_a_name_without_addresses(failure):
    """It may have some later."""

    async def resolve(_: str, __: int) -> Sequence[str]:
        if failure:
            raise failure
        return []

    access = Access(Allowed.of(["hooks.example.com"]))
    with pytest.raises(UnavailableError, match="the name does not resolve"):
        await SignedWebhooks(access, resolve=resolve).call(
            WebhookCall("a", "http://hooks.example.com/", "{}", 5.0)
        )


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "*",
        "*.",
        "**.example.com",
        "a.*.example.com",
        "*.10.0.0.7",
        "*.7",
        "*.[::1]",
        "http://example.com",
        "example.com/path",
        "user@example.com",
        "example.com:",
        "example.com:0",
        "example.com:65536",
        "exa mple.com",
        "::1",
        "127.1",
        "éxample.com",
    ],
)
def test_an_entry_that_means_nothing_is_refused(entry):
    """A mistake in the allow-list is found when the configuration is read."""
    with pytest.raises(ValueError, match="is no host: write for example"):
        rule(entry)


HOSTS = st.sampled_from(
    [
        "hooks.example.com",
        "example.com",
        "a.example.com",
        "evil.com",
        "localhost",
        "127.0.0.1",
        METADATA,
        "2130706433",
        "0x7f.1",
        "10.0.0.7",
        "[::1]",
        "[fe80::1]",
        "[::ffff:169.254.169.254]",
    ]
)
PORTS = st.sampled_from(["", ":80", ":443", ":8443", ":0", ":99999", ":"])
ENTRIES = {
    "hooks.example.com": ("hooks.example.com", None),
    "hooks.example.com:8443": ("hooks.example.com", 8443),
    "*.example.com": (".example.com", None),
    "*.example.com:8443": (".example.com", 8443),
    "127.0.0.1:8443": ("127.0.0.1", 8443),
    "[::1]": ("::1", None),
    "10.0.0.7": ("10.0.0.7", None),
    "localhost": ("localhost", None),
}
GLUE = st.just("") | st.text("@.:/\\#?%[] \t\n*-_~aZ0é。", max_size=4)


@st.composite
def urls(draw: st.DrawFn) -> str:
    scheme = draw(st.sampled_from(["http://", "https://", "HTTP://", "http:/", "ftp://", "//"]))
    parts = [draw(GLUE), draw(HOSTS), draw(GLUE), draw(st.just("") | HOSTS), draw(PORTS)]
    return scheme + "".join(parts) + draw(st.sampled_from(["", "/", "/x?y", "?q", "#f", "/@z"]))


def permits(entry: str, host: str, port: int, default: int) -> bool:
    """Return what an entry says, by other means than the code under test."""
    listed, number = ENTRIES[entry]
    fits = host.endswith(listed) if listed.startswith(".") else host == listed
    return fits and port == (number or default)


@given(
    urls(),
    st.lists(st.sampled_from(sorted(ENTRIES)), max_size=3),
    st.sampled_from([PUBLIC, METADATA, "::1"]),
)
@example("http://hooks.example.com@169.254.169.254/", ["hooks.example.com"], PUBLIC)
@example("http://HOOKS.example.com.:8443/", ["*.example.com:8443"], METADATA)
@example("http://[::ffff:169.254.169.254]/", ["[::1]"], PUBLIC)
async def test_no_unlisted_host_is_ever_dialled(url, entries, resolved):
    """Whatever is dialled is what another reader of the URL sees, and it is listed."""
    network = Network([resolved])
    await network.call(url, *entries)
    if not network.dialled and not network.asked:
        return
    seen = urlsplit(url)
    host = (seen.hostname or "").removesuffix(".")
    default = {"http": 80, "https": 443}[seen.scheme]
    port = seen.port or default
    assert any(permits(entry, host, port, default) for entry in entries)
    assert network.asked in ([], [host])
    for address, dialled_port in network.dialled:
        assert dialled_port == port
        assert address in {host, resolved}
        found = ipaddress.ip_address(address)
        special = found.is_loopback or found.is_link_local or found.is_unspecified
        assert not special or address == host or (host == "localhost" and found.is_loopback)


@given(st.text(max_size=60))
def test_any_text_is_a_destination_or_an_error(text):
    """What parses is written back so that it parses to the same."""
    for url in (text, f"http://{text}", f"https://a.example.com{text}"):
        with contextlib.suppress(InvalidError):
            found = parse(url)
            assert parse(found.url) == found
