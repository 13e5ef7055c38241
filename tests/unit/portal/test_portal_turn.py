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
