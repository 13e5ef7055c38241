"""The example file and the reference are made from the types, and say what is so."""

import re
import tomllib
from pathlib import Path

from agent.config import Settings, load
from agent.config.changes import settable
from agent.config.document import example, explained, reference

README = Path(__file__).parents[3] / "agent" / "README.md"


def test_the_example_means_the_defaults(tmp_path):
    file = tmp_path / "pinhole.toml"
    file.write_text(example())
    paths = {"portal": {"audit_file", "database_url", "state_dir"}}
    assert load(file).model_dump(exclude=paths) == Settings().model_dump(exclude=paths)


def test_every_commented_setting_of_the_example_is_a_good_one(tmp_path):
    text = re.sub(r"^#(?! )", "", example(), flags=re.MULTILINE)
    file = tmp_path / "pinhole.toml"
    file.write_text(text.replace("mqtt://127.0.0.1:1883", "mqtts://127.0.0.1:8883"))
    settings = load(file)
    assert settings.portal.turn is not None
    assert settings.portal.ice_servers


def test_the_example_names_every_setting():
    text = re.sub(r"^#(?! )", "", example(), flags=re.MULTILINE)
    data = tomllib.loads(text)
    assert list(data) == list(Settings.model_fields)
    for name, field in Settings.model_fields.items():
        assert set(data[name]) == set(field.annotation.model_fields)


def test_a_default_that_gives_way_to_an_example_is_told():
    for default in ('"/dev/pinhole-modem"', '"off"'):
        assert f" Default: {default}." in example()


def test_the_readme_holds_this_reference():
    text = README.read_text()
    begin, end = "<!-- settings: begin -->\n", "<!-- settings: end -->"
    held = text[text.index(begin) + len(begin) : text.index(end)]
    assert held.strip() == reference().strip(), "agent/README.md: replace its settings with `reference()`"


def test_each_setting_that_may_be_changed_from_afar_is_explained():
    settings = explained()
    assert [one["key"] for one in settings] == list(settable())
    assert all(one["title"] and one["about"] and one["table"] for one in settings)
    by_key = {one["key"]: one for one in settings}
    assert by_key["camera.bitrate_bps"].items() >= {
        "title": "Highest bitrate", "kind": "integer", "unit": "bits a second", "minimum": 100_000,
        "maximum": 25_000_000, "default": 2_000_000,
    }.items()  # fmt: skip
    assert by_key["camera.preview.enabled"]["kind"] == "boolean"
    assert by_key["camera.image.af_mode"]["choices"] == ["continuous", "auto", "manual"]
    assert by_key["camera.width_px"]["step"] == 2
    assert by_key["webrtc.connect_timeout_s"]["above"] == 1
    assert by_key["device.name"]["most_characters"] == 80
    every_s = by_key["stills.every_s"]
    assert (every_s["also"], every_s["minimum"], every_s["maximum"]) == (0, 10, 86400)
