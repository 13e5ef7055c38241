"""Where channels may lead: nowhere inside."""

import socket

import pytest

from agent.portal.notify.outside import Answer, ChannelError, Outside, _PublicResolver, is_public, refused


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "2606:2800:220:1::1", "::ffff:93.184.216.34", "64:ff9b::5db8:d822"]
)
def test_public_addresses_are_let_through(address):
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "192.168.1.1", "172.16.0.9", "169.254.169.254", "100.64.0.1", "0.0.0.0",
        "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fd00::1", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::", "2002:a00:1::1", "64:ff9b::a00:1",
        "64:ff9b::7f00:1", "64:ff9b:1::7f00:1", "fec0::1", "::127.0.0.1", "::ffff:0:7f00:1", "3fff::1",
        "2001:db8::1", "2001::1", "4000::1", "no address", "",
    ],
)  # fmt: skip
def test_no_private_address_passes_however_it_is_written(address):
    assert not is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/", "ftp://example.org/", "file:///etc/passwd", "https://", "https:///x", "",
        "https://127.0.0.1/", "https://127.1/", "https://2130706433/", "https://[::1]/", "https://localhost/",
        "https://a.localhost:8443/", "https://10.0.0.1:8443/", "https://user:pass@example.org/",
        "https://exa mple.org/", "https://example.org/\r\nX: y", "https://example.org:99999/",
        "https://169.254.169.254/latest/meta-data", "https://[::ffff:10.0.0.1]/", "https://ex\u00e4mple.org/",
        "https://example.org/" + "x" * 3000,
    ],
)  # fmt: skip
def test_what_is_no_public_https_address_is_refused_at_once(url):
    with pytest.raises(ChannelError) as caught:
        Outside().check(url)
    assert caught.value.is_final


def test_a_public_one_is_taken_and_private_ones_where_the_settings_say_so():
    assert Outside().check("https://hooks.example.org:8443/x?y=z") == "hooks.example.org"
    assert Outside(allow_private=True).check("http://127.0.0.1:1/") == "127.0.0.1"


class Names:
    def __init__(self, *addresses):
        self.addresses = addresses

    async def resolve(self, host, port=0, family=socket.AF_INET):
        return [{"hostname": host, "host": one, "port": port, "family": family} for one in self.addresses]


@pytest.mark.parametrize("addresses", [["10.0.0.1"], ["93.184.216.34", "127.0.0.1"], []])
async def test_a_name_that_leads_inside_is_refused_when_it_is_looked_up(addresses):
    resolver = _PublicResolver()
    resolver._resolver = Names(*addresses)
    with pytest.raises(OSError, match=r"rebind\.example is not a public address"):
        await resolver.resolve("rebind.example", 443)


async def test_a_public_name_is_looked_up():
    resolver = _PublicResolver()
    resolver._resolver = Names("93.184.216.34")
    assert [one["host"] for one in await resolver.resolve("example.org", 443)] == ["93.184.216.34"]


@pytest.mark.parametrize(
    ("status", "is_final"), [(400, True), (403, True), (408, False), (429, False), (500, False), (302, False)]
)
def test_what_is_asked_wrongly_is_not_asked_again(status, is_final):
    error = refused(Answer(status, "no", 30.0), "The webhook")
    assert (error.is_final, error.retry_after_s) == (is_final, 30.0)
    assert str(error) == f"The webhook answered {status}: no"
