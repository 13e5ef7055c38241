from collections import Counter

import pytest

from agent.config import IceServerSettings, PortalSettings, TurnSettings
from agent.errors import ConfigError, PortalError
from agent.model.signal import IceServer
from agent.portal.turn import IceServers, TurnSecret, load_ice_servers, rest_credential


def secret_file(tmp_path, text):
    path = tmp_path / "secret"
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_credentials_are_those_that_coturn_computes():
    # printf 1700003600:front-door | openssl dgst -binary -sha1 -hmac north | base64
    assert rest_credential("north", "front-door", 1700003600) == (
        "1700003600:front-door",
        "tG50yKhJxW1HMZwnf2BAwzoioxc=",
    )


def test_a_grant_expires_and_differs_for_each_end():
    ice = IceServers(turn=TurnSecret(("turn:t.example:3478",), "north", 3600))
    browser, device = ice.grant("viewer", 1000.0), ice.grant("front-door", 1000.0)
    assert browser.expires_at == 4600.0
    assert browser.servers[0].username == "4600:viewer"
    assert device.servers[0].username == "4600:front-door"
    assert browser.servers[0].credential != device.servers[0].credential


def test_who_watches_nothing_learns_no_credential():
    relay = IceServer(("turn:f.example:3478",), "me", "hush")
    stun = IceServer(("stun:s.example:3478",))
    ice = IceServers((stun, relay), TurnSecret(("turn:t.example:3478",), "north", 60))
    assert ice.without_relays().servers == (stun,)


def test_without_turn_nothing_expires():
    stun = IceServer(("stun:s.example:3478",))
    grant = IceServers((stun,)).grant("viewer", 1000.0)
    assert grant.servers == (stun,)
    assert grant.expires_at is None


def test_settings_become_servers_with_secrets_from_files(tmp_path):
    path = secret_file(tmp_path, "hush\n")
    settings = PortalSettings(
        ice_servers=[
            IceServerSettings(urls=["stun:s.example:3478"]),
            IceServerSettings(urls=["turn:f.example:3478"], username="me", credential_file=path),
        ],
        turn=TurnSettings(urls=["turn:t.example:3478"], secret_file=path, ttl_s=60),
    )
    servers = load_ice_servers(settings).grant("viewer", 1000.0).servers
    assert [server.urls for server in servers] == [
        ("stun:s.example:3478",),
        ("turn:f.example:3478",),
        ("turn:t.example:3478",),
    ]
    assert (servers[1].username, servers[1].credential) == ("me", "hush")
    assert servers[2].credential == rest_credential("hush", "viewer", 1060)[1]


def test_a_secret_that_cannot_be_read_names_its_file(tmp_path):
    missing = tmp_path / "missing"
    settings = PortalSettings(turn=TurnSettings(urls=["turn:t.example:3478"], secret_file=missing))
    with pytest.raises(ConfigError, match=str(missing)):
        load_ice_servers(settings)


def test_a_turn_server_without_credentials_is_refused():
    with pytest.raises((PortalError, ConfigError, ValueError), match="username"):
        load_ice_servers(PortalSettings(ice_servers=[IceServerSettings(urls=["turn:t.example:3478"])]))


URLS = tuple(f"turn:turn{n}.test:3478?transport={way}" for n in range(5) for way in ("udp", "tcp"))


def hosts_of(grant):
    return [server.urls[0].split(":")[1] for server in grant.servers]


def test_each_server_is_an_entry_with_all_its_ways():
    grant = IceServers(turn=TurnSecret(URLS, "secret", 60)).grant("viewer", 1000.0)
    assert hosts_of(grant) == [f"turn{n}.test" for n in range(5)]
    assert all(len(server.urls) == 2 for server in grant.servers)
    assert len({server.credential for server in grant.servers}) == 1


def test_sessions_begin_with_different_servers_and_know_three():
    ice = IceServers(turn=TurnSecret(URLS, "secret", 60))
    found = [hosts_of(ice.grant("cam", 1000.0, f"session {n}")) for n in range(200)]
    assert all(len(set(hosts)) == 3 for hosts in found)
    first = Counter(hosts[0] for hosts in found)
    assert len(first) == 5
    assert min(first.values()) > 200 / 5 / 2


def test_a_renewed_grant_keeps_to_its_servers():
    ice = IceServers(turn=TurnSecret(URLS, "secret", 60))
    assert hosts_of(ice.grant("cam", 1000.0, "a")) == hosts_of(ice.grant("cam", 2000.0, "a"))


def test_an_address_in_brackets_is_one_server():
    urls = ("turn:[2001:db8::1]:3478?transport=udp", "turn:[2001:db8::1]?transport=tcp", "turn:203.0.113.1")
    grant = IceServers(turn=TurnSecret(urls, "secret", 60)).grant("viewer", 1000.0)
    assert [len(server.urls) for server in grant.servers] == [2, 1]
