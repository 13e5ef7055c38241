"""`pinhole.toml` on the disk becomes settings, or a list of every fault."""

from pathlib import Path

import pytest

from agent.config import Settings, load, read_secret
from agent.errors import ConfigError


@pytest.fixture
def write(tmp_path):
    def write(text: str) -> Path:
        file = tmp_path / "pinhole.toml"
        file.write_text(text)
        return file

    return write


def faults(file: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(file)
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


def test_an_empty_file_means_the_defaults(write):
    settings = load(write(""))
    assert settings.broker == Settings().broker
    assert settings.portal.port == 8080


def test_what_is_written_is_what_is_read(write):
    settings = load(
        write(
            '[device]\nid = "gate"\n[broker]\nurl = "mqtts://broker.example.org"\nversion = "3.1.1"\n'
            "[camera]\nwidth_px = 1280\nheight_px = 720\nfps = 25\n"
            '[[portal.ice_servers]]\nurls = ["stun:stun.example.org:3478"]\n'
        )
    )
    assert (settings.device.id, settings.device.display_name) == ("gate", "gate")
    assert settings.broker.url == "mqtts://broker.example.org"
    assert (settings.camera.width_px, settings.camera.height_px, settings.camera.fps) == (1280, 720, 25)
    assert settings.portal.ice_servers[0].urls == ["stun:stun.example.org:3478"]


def test_every_fault_is_named_at_once(write):
    found = faults(
        write(
            '[device]\nid = "front door"\n[broker]\nkeepalive_s = "x"\nversion = 5\n'
            '[camera]\nwidth_px = 63\nbitrate_bps = true\n[log]\nlevel = "loud"\n[portal]\nport = 70000\n'
        )
    )
    keys = [line.split(" = ")[0] for line in found]
    assert sorted(keys) == [
        "broker.keepalive_s",
        "broker.version",
        "camera.bitrate_bps",
        "camera.width_px",
        "device.id",
        "log.level",
        "portal.port",
    ]
    assert 'broker.keepalive_s = "x": should be a valid integer' in found
    assert "portal.port = 70000: should be less than or equal to 65535" in found


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[broker]\nkeepalive = 3\n", "broker.keepalive: unknown key; did you mean broker.keepalive_s?"),
        ("[log]\nbitrate_bps = 3\n", "log.bitrate_bps: unknown key; did you mean camera.bitrate_bps?"),
        ("[brokr]\nurl = 'x'\n", "brokr: unknown key; did you mean broker?"),
        ("[zzz]\n", "zzz: unknown key"),
        ("[[portal.ice_servers]]\nurls = ['stun:a']\nurl = 'x'\n", "did you mean portal.ice_servers.urls?"),
    ],
)
def test_an_unknown_key_names_the_one_that_was_meant(write, text, fault):
    assert faults(write(text))[0].endswith(fault)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[broker]\nurl='mqtts://h'\ncert_file='c'\n", 'broker.cert_file = "c": needs key_file too'),
        ("[broker]\nurl='mqtts://h'\nkey_file='k'\n", 'broker.key_file = "k": needs cert_file too'),
        ("[broker]\npassword_file='p'\n", 'broker.password_file = "p": needs username too'),
        ("[broker]\nca_file='ca'\n", 'broker.ca_file = "ca": needs TLS: an mqtts:// or wss:// url'),
        ("[camera]\nwidth_px=640\n", "camera.width_px = 640: needs height_px too"),
        ("[camera]\nsource='synthetic'\nrotate=180\n", "camera.rotate = 180: the test picture is not turned"),
        ("[camera]\nsource='demo'\nrotate=180\n", "camera.rotate = 180: the test picture is not turned"),
        ("[motion]\nnetwork='n.bin'\n", 'motion.network = "n.bin": must be a .rpk or a .tflite'),
        ("[motion]\nnetwork='n.tflite'\n", "motion.classes: is needed for a .tflite"),
        ("[motion]\nnetwork='n.rpk'\n[camera]\nrotate=180\n", "for a camera that is not turned by camera"),
        (
            "[motion]\nnetwork='n.rpk'\n[camera]\nsource='v4l2:/dev/video0'\n",
            "a .rpk is for the sensor of a picamera, not for v4l2:/dev/video0",
        ),
        ("[portal]\ncert_file='c'\n", 'portal.cert_file = "c": needs key_file too'),
        ("[[portal.ice_servers]]\nurls=['turn:h']\n", "turn and turns need username and credential_file"),
        ("[portal.turn]\nurls=['stun:h']\nsecret_file='s'\n", "must be turn: or turns: URLs"),
        ("[portal.turn]\nurls=['turn:h']\n", "portal.turn.secret_file: is required"),
        ("device = 3\n", "device = 3: must be a table, as in [device]"),
    ],
)
def test_settings_that_do_not_go_together_are_faults(write, text, fault):
    found = faults(write(text))
    assert len(found) == 1
    assert fault in found[0]


@pytest.mark.parametrize(
    ("source", "good"),
    [
        ("auto", True),
        ("picamera", True),
        ("picamera:1", True),
        ("picamera:front", False),
        ("v4l2:/dev/video0", True),
        ("v4l2", False),
        ("replay:", False),
        ("synthetic:3", False),
        ("webcam", False),
    ],
)
def test_camera_sources(write, source, good):
    file = write(f"[camera]\nsource = '{source}'\n")
    if good:
        assert load(file).camera.source == source
    else:
        assert faults(file)[0].startswith(f'camera.source = "{source}": ')


def test_paths_are_relative_to_the_file(write, tmp_path):
    settings = load(
        write("[camera]\nsource='replay:clip.mp4'\n[broker]\nusername='u'\npassword_file='s/p'\n")
    )
    assert settings.camera.source == f"replay:{tmp_path}/clip.mp4"
    assert settings.broker.password_file == tmp_path / "s/p"
    assert settings.portal.audit_file == tmp_path / "portal-audit.jsonl"
    assert settings.portal.database_url == f"sqlite:///{tmp_path}/portal.db"


def test_a_bare_name_is_a_systemd_credential_where_there_is_one(write, tmp_path, monkeypatch):
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "broker-password").write_text("x")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    settings = load(
        write("[broker]\nusername='u'\npassword_file='broker-password'\n[portal]\naudit_file='mine'\n")
    )
    assert settings.broker.password_file == credentials / "broker-password"
    assert settings.portal.audit_file == tmp_path / "mine"


def test_a_password_in_the_wrong_place_is_not_repeated(write):
    found = faults(write("[broker]\npassword = 'hunter2'\nurl = 'mqtt://joe:hunter2@host'\n"))
    assert "hunter2" not in "".join(found)
    assert len(found) == 2


def test_a_syntax_error_names_its_line(write):
    with pytest.raises(ConfigError, match="line 2"):
        load(write("[device]\nid = gate\n"))


def test_a_file_that_is_nested_too_deep_is_refused(write):
    with pytest.raises(ConfigError, match="nested too deep"):
        load(write("a = " + "[" * 5000))


def test_a_file_that_is_not_text_is_refused(tmp_path):
    file = tmp_path / "pinhole.toml"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="UTF-8"):
        load(file)


def test_a_huge_file_is_refused(write):
    with pytest.raises(ConfigError, match="256 KiB"):
        load(write("#" * (256 * 1024 + 1)))


def test_a_missing_file_says_where_to_start(tmp_path):
    with pytest.raises(ConfigError, match="config example"):
        load(tmp_path / "none.toml")


@pytest.fixture
def secret(tmp_path):
    def secret(data: bytes, mode: int = 0o600) -> Path:
        file = tmp_path / "secret"
        file.write_bytes(data)
        file.chmod(mode)
        return file

    return secret


@pytest.mark.parametrize("data", [b"pass word", b"pass word\n", b"pass word\r\n"])
def test_a_secret_is_its_one_line(secret, data):
    assert read_secret(secret(data)) == "pass word"


@pytest.mark.parametrize("data", [b"", b"\n", b"  \n", b"two\nlines\n", b"x" * 5000, b"\xff\xff"])
def test_a_file_that_holds_no_secret_is_refused(secret, data):
    with pytest.raises(ConfigError, match="secret"):
        read_secret(secret(data))


def test_a_secret_that_everybody_can_read_is_refused(secret):
    with pytest.raises(ConfigError, match="chmod o="):
        read_secret(secret(b"x", 0o644))


def test_a_missing_secret_names_its_file(tmp_path):
    with pytest.raises(ConfigError, match="none: cannot read"):
        read_secret(tmp_path / "none")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('port = "ttyUSB0"', "ptz.port"),
        ('port = "udp://head.example"', "ptz.port"),
        ('port = "/dev/head"\nprotocol = "visca-ip"', "ptz.port"),
        ('port = "udp://cam..lan"\nprotocol = "visca-ip"', "ptz.port"),
        ('port = "udp://head.example:99999"\nprotocol = "visca-ip"', "ptz.port"),
        ('protocol = "visca"\naddress = 8', "ptz.address"),
        ('protocol = "pelco-p"\naddress = 33', "ptz.address"),
        ("pan_limits_deg = [10, -10]", "ptz.pan_limits_deg"),
        ("pan_limits_deg = [10]", "ptz.pan_limits_deg"),
        ("baud = 31250", "ptz.baud"),
        ('protocol = "pelco-p"\ntilt_limits_deg = [-30, 90]', "ptz.tilt_limits_deg"),
        ('protocol = "visca"\nhome_preset = 128', "ptz.home_preset"),
        ('protocol = "visca-ip"\nhome_preset = 255', "ptz.home_preset"),
    ],
)
def test_a_head_that_cannot_be_reached_is_a_fault(write, text, fault):
    [found] = faults(write(f"[ptz]\n{text}\n"))
    assert found.startswith(fault)


def test_a_head_is_at_a_port_or_on_the_network(write):
    assert load(write("")).ptz.port is None
    assert load(write("[ptz]\nhome_preset = 255\n")).ptz.home_preset == 255
    assert load(write('[ptz]\nport = "/dev/head"\naddress = 200\n')).ptz.protocol == "pelco-d"
    network = load(write('[ptz]\nport = "udp://head.example:1259"\nprotocol = "visca-ip"\n'))
    assert network.ptz.port == "udp://head.example:1259"


def test_a_port_has_one_owner(write):
    port = '"/dev/pinhole-port"'
    file = write(f'[ptz]\nport = {port}\n[modem]\nbackend = "at"\nport = {port}\n[gnss]\nsource = {port}\n')
    assert faults(file) == [
        "modem.port: is ptz.port too: a port has one owner",
        "gnss.source: is ptz.port too: a port has one owner",
    ]


UPLOAD = '[portal.upload]\nbucket = "recordings"\n'


def test_no_store_is_set_by_default(write):
    assert load(write("")).portal.upload is None


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ('endpoint = "ftp://s3.example.org"', "endpoint"),
        ('endpoint = "https://user:secret@s3.example.org"', "endpoint"),
        ('endpoint = "https://s3.example.org?x=1"', "endpoint"),
        ('access_key = "AKIA"', "access_key"),
        ('secret_file = "secret"', "secret_file"),
        ('prefix = "/cams"', "prefix"),
        ('prefix = "cams/../other"', "prefix"),
        ('prefix = "cams/"', "prefix"),
        ("url_life_s = 59", "url_life_s"),
        ("mb_a_day = 0", "mb_a_day"),
    ],
)
def test_what_a_store_cannot_be_is_named(write, line, key):
    (fault,) = faults(write(UPLOAD + line + "\n"))
    assert fault.startswith(f"portal.upload.{key}")
    assert "user:secret" not in fault


def test_a_bucket_needs_a_name_that_is_one(write):
    (fault,) = faults(write('[portal.upload]\nbucket = "My_Recordings"\n'))
    assert fault.startswith("portal.upload.bucket")


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        ("http://minio_1:9000", "the host's name must be of letters, digits, dots and hyphens, without _"),
        ("https://a..b", "the host's name"),
        ("https://-a", "the host's name"),
        ("https://host:99999", "the port must be a number from 0 to 65535"),
        ("https://host:x", "the port must be a number"),
    ],
)
def test_where_no_store_can_be_is_said_in_words(write, endpoint, words):
    (fault,) = faults(write(f'{UPLOAD}endpoint = "{endpoint}"\n'))
    assert fault.startswith(f'portal.upload.endpoint = "{endpoint}": {words}')


@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:9000", "http://[fd00::1]:9000", "https://S3.example.org", "http://minio-1"]
)
def test_a_store_is_reached_by_name_or_address(write, endpoint):
    upload = load(write(f'{UPLOAD}endpoint = "{endpoint}"\n')).portal.upload
    assert upload is not None
    assert upload.endpoint == endpoint


def test_a_store_in_a_folder_of_a_bucket(write):
    text = UPLOAD + 'endpoint = "https://s3.example.org/"\nprefix = "cams/north-1"\n'
    upload = load(write(text)).portal.upload
    assert upload is not None
    assert (upload.endpoint, upload.prefix) == ("https://s3.example.org", "cams/north-1")
