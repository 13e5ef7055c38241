"""Which Apprise addresses are let through: services, and nothing that has files read."""

import logging

import pytest

from agent.portal.notify.outside import ChannelError
from agent.portal.notify.services import SERVICES, _parse, _shown, _Words


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "syslog://", "exec://x", "json://127.0.0.1/", "mailto://a:b@c.example",
        "windows://", "dbus://", "xml://10.0.0.1", "form://10.0.0.1", "smtp://x", "", "ntfy", "memory://x",
        "slack://a/b/c?template=/etc/passwd", "discord://1/a?Template=file:///etc/passwd",
        "ntfy://host/topic?attach=file:///etc/passwd", "ntfy://host/topic?+template=x", "ntfy://h\n/t",
        "ntfy://host/topic?rto=1e9", "ntfy://host/topic?CTO=600", "ntfy://host/topic?retry=9&wait=9",
        "ntfy://host/" + "x" * 2000,
    ],
)  # fmt: skip
def test_what_could_read_files_or_is_no_service_of_the_list_is_refused(url):
    with pytest.raises(ChannelError) as caught:
        _parse(url)
    assert caught.value.is_final


def test_every_service_of_the_list_is_one_of_apprise():
    from apprise import AppriseAsset  # noqa: F401  loads its services
    from apprise.manager_plugins import NotificationManager

    known = set(NotificationManager().schemas())
    assert known >= SERVICES


def test_an_address_is_shown_without_its_secrets():
    shown = _shown("tgram://123456789:abcdefghijklmnopqrstuvwxyz123456789/42/")
    assert "abcdefghij" not in shown
    assert shown.startswith("Telegram: tgram://")


def test_the_words_of_other_threads_are_left_alone():
    words = _Words()
    record = logging.LogRecord("apprise", logging.WARNING, "", 0, "mine", (), None)
    words.emit(record)
    record.thread = -1
    words.emit(record)
    assert words.words == ["mine"]
