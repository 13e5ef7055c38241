"""The broker beside a running agent: reached by the doctor, and the rest said by the agent."""

import pytest

from agent.config import Settings
from agent.device.place import BrokerNote, taken
from agent.doctor import broker
from agent.doctor.broker import BesideAgent, judge_standing, try_broker
from agent.mqtt.probe import BrokerVisit

URL = "mqtts://b"
REACHED = BrokerVisit(10, 20, None, 90.0)


@pytest.mark.parametrize(
    ("note", "verdict", "message", "advice"),
    [
        (BrokerNote(connected=True, words=URL), "good", "the running agent is connected", ""),
        (None, "unknown", "has not said yet", "ask again"),
        (
            BrokerNote(connected=False, words=f"{URL}: not authorised: check broker.password_file"),
            "fault",
            "the running agent is not connected: not authorised",
            "check broker.password_file",
        ),
        (
            BrokerNote(connected=False, words=f"{URL}: the connection was lost"),
            "fault",
            "the running agent is not connected: the connection was lost",
            "the agent's log",
        ),
    ],
)
def test_what_the_agent_says_is_what_is_found(note, verdict, message, advice):
    finding = judge_standing(URL, BesideAgent(REACHED, note))
    assert finding.verdict == verdict
    assert message in finding.message
    assert advice in finding.advice
    assert bool(finding.advice) == (verdict != "good")


async def test_a_client_id_is_told_where_no_agent_runs_and_nowhere_else(tmp_path, monkeypatch):
    asked = []

    async def reach(_broker):
        asked.append("reached")
        return REACHED

    async def visit(_broker, _password, client_id, _filters):
        asked.append(client_id)
        return REACHED

    monkeypatch.setattr(broker, "reach_broker", reach)
    monkeypatch.setattr(broker, "visit_broker", visit)
    settings = Settings.model_validate({"device": {"id": "door", "state_dir": tmp_path}})
    with taken(tmp_path):
        await try_broker(settings, 1.0)
    await try_broker(settings, 1.0)
    assert asked == ["reached", "pinhole-door-doctor"]
