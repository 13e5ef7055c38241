"""What editors and spreadsheets write: read over, or an error with the line and what to type."""

import pytest

from agent.cli.devices import _read_devices
from agent.config import load, read_secret
from agent.errors import ConfigError

BOM = b"\xef\xbb\xbf"


@pytest.fixture
def file(tmp_path):
    def write(data: bytes):
        file = tmp_path / "file"
        file.write_bytes(data)
        file.chmod(0o600)
        return file

    return write


def fault(read, file) -> str:
    with pytest.raises(ConfigError) as caught:
        read(file)
    return str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        BOM + b'[device]\r\nid = "front-door"\r\n',
        b'[device]\rid = "front-door"\r',
        '[device]\n\tid = "front-door"\n\tname = "Tür 🚪"\n'.encode(),
    ],
)
def test_a_byte_order_mark_and_any_line_ends_are_read_over(file, data):
    assert load(file(data)).device.id == "front-door"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (b'[device]\nid = "front-door"\nname = "T\xfcr"\n', 3, "not UTF-8"),
        (BOM + b'[device]\nname = "T\xfcr"\n', 2, "column 10: not UTF-8"),
        ("[device]\nid = “front-door”\n", 2, 'typographic quote “: type "'),
        ("[device]\nid = \u2018front-door\u2019\n", 2, "typographic quote \u2018: type '"),
        ("[device]\nid = „front-door“\n", 2, 'typographic quote „: type "'),
        ('[device]\nid\u00a0= "x"\n', 2, "column 3 is no-break space (U+00A0): type a space"),
        ('[device]\n\u200bid = "x"\n', 2, "zero width space"),
        ("[data_plan]\nmonthly_cap_mb = \u20135\n", 2, "the dash \u2013: type -"),
        ('[camera]\nsource = "replay:C:\\Users\\me\\x.mp4"\n', 2, "put the text in '…'"),
        ('[camera]\nsource = "replay:\\Videos\\x.mp4"\n', 2, "put the text in '…'"),
        ('[device]\nid = "x"\n[broker]\n[device]\nname = "x"\n', 4, "[device] is there twice"),
        ('[device]\nid = "x"\nid = "y"\n', 3, "id is set twice"),
        ("device:\n  id: front-door\n", 1, "looks like YAML"),
        ('{\n  "device": {"id": "x"}\n}\n', 1, "looks like JSON"),
        ("[device]\nid = front-door\n", 2, 'type "front-door"'),
        ("[portal]\nport = 80\nbroker_has_public_certificate = Yes\n", 3, "type true"),
        ("[device]\n// mine\n", 2, "a comment begins with #"),
        ('[device]\nid = "x\n[broker]\n', 2, ""),
    ],
)
def test_what_is_no_toml_names_its_line_and_what_to_type(file, text, line, words):
    said = fault(load, file(text if isinstance(text, bytes) else text.encode()))
    assert f"line {line}" in said
    assert words in said


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_named(file, codec):
    for read in (load, read_secret):
        assert "UTF-16" in fault(read, file('[device]\nid = "x"\n'.encode(codec)))


def test_a_backslash_that_toml_takes_silently_is_found(file):
    said = fault(load, file(b'[camera]\nsource = "replay:C:\\temp\\new.mp4"\n'))
    assert "camera.source" in said
    assert "put the text in '…'" in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[device]\nid = "front\u00a0door"\n', "column 6 is no-break space"),
        ('[broker]\nurl = "mqtt://broker.example.org\u00a0"\n', "must hold no space"),
        ('[broker]\nurl = "mqtt://broker.example.org "\n', "must hold no space"),
        ('[portal]\npublic_url = "https://cams.example.org\u200b"\n', "zero width space"),
    ],
)
def test_what_nobody_sees_is_named(file, text, words):
    assert words in fault(load, file(text.encode()))


@pytest.mark.parametrize("data", [BOM + b"s3cret\r\n", b"s3cret\n\n", b"s3cret\r"])
def test_a_secret_is_the_same_by_any_editor(file, data):
    assert read_secret(file(data)) == "s3cret"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"s3cret \n", "line 1 ends with a space: remove it"),
        (b" s3cret\n", "line 1 begins with a space"),
        (b"\ns3cret\n", "line 1 is blank"),
        (b"s3cret\n\nmore\n", "line 2 is blank"),
        (b"s3cret\nmore\n", "2 lines"),
        ("ab\u00a0 cd\n".encode(), "line 1, column 3 is no-break space"),
        ("s3cret\u200b\n".encode(), "column 7 is zero width space"),
        (b"ab\tcd\n", "column 3 is a tab"),
        (b"s3cr\xe9t\n", "line 1, column 5: not UTF-8"),
        (BOM + b"\r\n", "empty"),
    ],
)
def test_what_else_is_in_a_secrets_file_is_named_and_the_secret_is_not(file, data, words):
    said = fault(read_secret, file(data))
    assert words in said
    assert "3cr" not in said


@pytest.mark.parametrize("blank", [" ", "\t"])
def test_a_long_line_costs_no_more_than_its_length(file, blank):
    """By the square of it, this one would hang for minutes, and the largest settings file for an hour."""
    line = f"id = front{blank * 60_000}door"
    assert "line 2" in fault(load, file(f"[device]\n{line}\n".encode()))


@pytest.mark.parametrize(
    "data",
    [
        BOM + b"device\r\nfront-door\r\ngarden\r\n",
        b"device;place\r\nfront-door;hall\r\ngarden;\r\n",
        b"Device\nfront-door\ngarden\n",
        b"place\t DEVICE \nhall\t front-door \n\t\n\tgarden\n",
        b"sep=;\r\nplace;device\r\n;front-door\r\n;garden\r\n",
        b'"device"\r"front-door"\r"garden"\r',
    ],
)
def test_a_list_of_cameras_is_read_from_any_spreadsheet(file, data):
    assert _read_devices(file(data)) == ["front-door", "garden"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'device\n"front door"\n', "line 2: 'front door': letters, digits, - and _: type front-door"),
        (b"device\n\nx\nx\n", "line 4: x is in line 3 already"),
        (b"camera\nx\n", "line 1: has no column device"),
        (b"device\n", "one line a camera"),
        (b'sep="\ndevice"name\nx"y\n', "line 1: has no column device"),
        (b"device\nT\xfcr\n", "line 2, column 2: not UTF-8"),
        ("device\nx\n".encode("utf-16"), "UTF-16"),
    ],
)
def test_a_list_of_cameras_names_its_lines(file, data, words):
    assert words in fault(_read_devices, file(data))
