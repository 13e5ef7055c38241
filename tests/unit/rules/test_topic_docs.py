"""What the documentation says of topics is what the code's table says."""

import re
from pathlib import Path

from agent.model.topics import TABLE, Topic, encode_topic, written_by

ROOT = Path(__file__).parents[3]
README = (ROOT / "agent/signaling/README.md").read_text()
BROKER = (ROOT / "agent/portal/BROKER.md").read_text()
NAMES = {"keys": "<kid>", "event": "<kind>", "in": "<session>", "out": "<session>"}


def test_signalings_table_of_topics():
    for channel, row in TABLE.items():
        topic = row.levels.format(device="<device>", name=NAMES.get(channel, ""))
        device = "that device" if "{device}" in row.levels else "every device"
        reader = "portal" if row.writer == "device" else device
        expiry = "never" if row.expiry_s is None else f"{row.expiry_s:g} s"
        kept = "yes" if row.is_retained else "no"
        assert f"\n| `{topic}` | {row.writer} | {reader} | {row.qos} | {kept} | {expiry} | " in README, topic
    [table] = re.findall(r"\| topic \| writer .*?\n\n", README, re.DOTALL)
    assert table.count("\n| `") == len(TABLE)


def test_who_reaches_what_at_the_broker():
    def ticked(cell):
        return re.findall(r"`([^`]+)`", cell)

    def levels(end, device):
        return [
            row.levels.format(device=device, name="KIND" if row.names and device != "+" else "+")
            for row in written_by(end)
        ]

    for who, device in (("camera `ID`", "ID"), ("portal", "+")):
        [(writes, reads)] = re.findall(rf"^\| {who} \| (.*) \| (.*) \|$", BROKER, re.MULTILINE)
        ends = ("device", "portal") if device == "ID" else ("portal", "device")
        assert [ticked(writes), ticked(reads)] == [levels(end, device) for end in ends]


def test_the_roles_of_mosquittos_dynamic_security():
    allowed = [f"publishClientSend {row.at('pinhole', 'ID')}" for row in written_by("device")]
    for kind in ("subscribePattern", "publishClientReceive"):
        allowed += [f"{kind} {row.at('pinhole', 'ID')}" for row in written_by("portal")]
    assert re.findall(r"addRoleACL camera-ID (.*) allow$", BROKER, re.MULTILINE) == allowed


def test_rabbitmqs_permissions():
    """RabbitMQ tries a pattern on a topic with `.` for `/`, the user's name filled in."""
    [patterns] = re.findall(r"set_topic_permissions ID amq\.topic '(.*)' '(.*)'$", BROKER, re.MULTILINE)
    for end, pattern in zip(("device", "portal"), patterns, strict=True):
        own = re.compile(pattern.replace("{username}", "mine"))
        for channel, row in TABLE.items():
            for device in ("mine", "other"):
                topic = encode_topic("pinhole", Topic(device, channel, "n")).replace("/", ".")
                is_open = row.writer == end and (device == "mine" or "{device}" not in row.levels)
                assert bool(own.search(topic)) == is_open, topic
