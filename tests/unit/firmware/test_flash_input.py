"""What people give: claims, addresses, names. Every fault is named, and nothing gets into foreign syntax."""

import pytest
from flash.__main__ import _read, _read_settings
from flash.bootfiles import Site, Wifi, change_cmdline, render
from flash.claims import make_claim, read_claims
from flash.errors import FlashError
from hypothesis import given
from hypothesis import strategies as st

CLAIM = make_claim("door", "AAAA-1111")


def test_all_faults_of_a_csv_come_at_once(tmp_path):
    file = tmp_path / "claims.csv"
    file.write_text(
        "device,code\ncam-1,AAAA-1111\n-x,BBBB-2222\ncam-1,CCCC-3333\ncam-4,AAAA-1111\ncam-5,\ncam-6\n"
    )
    with pytest.raises(FlashError) as caught:
        read_claims(file)
    assert [line.split(":")[0].strip() for line in str(caught.value).splitlines()[1:]] == [
        "line 3", "line 4", "line 5", "line 6", "line 7",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["", "device\ncam\n", "name,code\ncam,AAAA-1111\n", "\xff\xfe"])
def test_what_is_no_csv_of_claims(tmp_path, text):
    file = tmp_path / "claims.csv"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(FlashError):
        read_claims(file)


@pytest.mark.parametrize(
    ("site", "words"),
    [
        ({"portal": "cams.example.org"}, "https:// address"),
        ({"portal": "http://cams.example.org"}, "pose as the portal"),
        ({"ca": "no certificate"}, "certificates in PEM"),
        ({"portal": "https://x\nPINHOLE_CODE=evil"}, "https:// address"),
        ({"user": "root"}, "not root"),
        ({"user": "a b"}, "small letter"),
        ({"timezone": "Europe/Berlin\nruncmd: x"}, "time zone"),
        ({"ssh_keys": ("-----BEGIN OPENSSH PRIVATE KEY-----",)}, "no SSH public key"),
        ({"wifi": Wifi("x" * 33, "long enough", "DE")}, "1 to 32 bytes"),
        ({"wifi": Wifi("yard", "short", "DE")}, "8 to 63"),
        ({"wifi": Wifi("yard", "long enough", "de")}, "capital letters"),
        ({"settings": "[camera"}, "no TOML"),
        ({"boot_lines": ("dtoverlya=imx462",)}, "is not known"),
    ],
)
def test_what_cannot_be_right_is_refused_before_anything_is_written(site, words):
    with pytest.raises(FlashError, match=words):
        Site(**({"portal": "https://cams.example.org"} | site))


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbfdevice,code\r\ncam-1,AAAA-1111\r\n",
        b"Device;place;Code\r\ncam-1;hall; AAAA-1111 \r\n;;\r\n",
        b"device\tcode\ncam-1\tAAAA-1111",
    ],
)
def test_claims_come_from_any_spreadsheet(tmp_path, data):
    file = tmp_path / "claims.csv"
    file.write_bytes(data)
    assert read_claims(file) == [make_claim("cam-1", "AAAA-1111")]


def test_keys_and_settings_come_from_any_editor(tmp_path):
    file = tmp_path / "written"
    file.write_bytes(b"\xef\xbb\xbfssh-ed25519 AAAA ann\r\n")
    assert _read(file) == "ssh-ed25519 AAAA ann\n"
    file.write_bytes(b"\xef\xbb\xbf[device]\r\n")
    assert _read_settings(file) == "[device]\n"
    file.write_text("[device]\nid = “x”\n")
    with pytest.raises(FlashError, match=r"line 2.* quote “: type"):
        _read_settings(file)


def test_a_private_portal_brings_its_authorities():
    ca = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    files = render(Site(portal="https://10.0.0.1:8443", ca=ca), CLAIM, "")
    assert files["pinhole/portal-ca.pem"].decode() == ca
    assert b"PINHOLE_OPTIONS=--ca-file /run/pinhole-enroll/portal-ca.pem\n" in files["pinhole/claim.env"]
    assert (
        b"PINHOLE_OPTIONS"
        not in render(Site(portal="https://cams.example.org"), CLAIM, "")["pinhole/claim.env"]
    )


def test_a_third_party_sensor_gets_its_overlay():
    lines = ("camera_auto_detect=0", "dtoverlay=imx462,clock-frequency=74250000")
    config = render(Site(portal="https://cams.example.org", boot_lines=lines), CLAIM, "")["config.txt"]
    assert config.decode().splitlines()[-2:] == list(lines)


@given(ssid=st.text(min_size=1, max_size=32), password=st.text(min_size=8, max_size=63))
def test_any_wifi_is_refused_or_comes_back_from_toml_as_it_was(ssid, password):
    import tomllib

    try:
        site = Site(portal="https://cams.example.org", wifi=Wifi(ssid, password, "DE"))
    except FlashError:
        return
    wlan = tomllib.loads(render(site, CLAIM, "")["custom.toml"].decode())["wlan"]
    assert (wlan["ssid"], wlan["password"]) == (ssid, password)


def test_the_command_line_keeps_its_root_and_changes_once():
    changes = {"remove": ["console=serial0,*", "quiet"], "add": ["panic=10"]}
    once = change_cmdline("console=serial0,115200 root=PARTUUID=1-02 quiet\n", changes)
    assert once == "root=PARTUUID=1-02 panic=10\n"
    assert change_cmdline(once, changes) == once
