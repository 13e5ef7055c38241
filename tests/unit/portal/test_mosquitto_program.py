import pytest

from agent.portal.mosquitto import ACL_PLUGIN
from agent.portal.mosquitto_program import plugin_folder, read_version


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("mosquitto version 2.0.11\n\nmosquitto is an MQTT v5.0/v3.1.1/v3.1 broker.", "2.0"),
        ("mosquitto version 2.0.21\n", "2.0"),
        ("mosquitto version 2.1.2\n", "2.1"),
        ("mosquitto version 2.10.0\n", "2.1"),
        ("mosquitto version 3.0.0\n", "2.1"),
        ("", "2.0"),
        ("mosquitto: error while loading shared libraries", "2.0"),
    ],
)
def test_the_version_is_what_it_says_of_itself(said, version):
    assert read_version(said) == version


def test_the_plugin_is_found_where_it_is_and_else_where_debian_has_it(tmp_path):
    assert plugin_folder(tmp_path).name == "mosquitto"
    found = tmp_path / "usr/local/lib"
    found.mkdir(parents=True)
    (found / ACL_PLUGIN).touch()
    assert plugin_folder(tmp_path) == found
