"""The example file and the reference are made from the types, and say what is so."""

import re
import tomllib
from pathlib import Path

from agent.config import Settings, load
from agent.config.document import example, reference

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
