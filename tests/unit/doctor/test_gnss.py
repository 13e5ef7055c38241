import pytest

from agent.doctor.gnss import judge_receiver
from agent.doctor.holder import Holder
from agent.model.sections import GnssSection


@pytest.mark.parametrize(
    ("found", "verdict", "words", "advice"),
    [
        (
            GnssSection(state="fix", source="gpsd", satellites=9),
            "good", "a fix by 9 satellites, read by gpsd", "",
        ),
        (GnssSection(state="fix", source="nmea"), "good", "a fix, read by nmea", ""),
        (
            Holder(812),
            "unknown", "not looked at: the running agent (process 812) has it", "pinhole fleet",
        ),
        (
            GnssSection(state="absent", problem="gpsd does not answer: start it"),
            "warning", "gpsd does not answer", "start it",
        ),
        (
            GnssSection(state="absent", problem="/dev/pinhole-gnss is not there: is it plugged in?"),
            "warning", "is not there", "plugged",
        ),
        (GnssSection(state="searching"), "warning", "it speaks, and sees too few satellites", "sky"),
        (
            GnssSection(state="fix", satellites=9, rollovers=1),
            "warning", "a fix by 9 satellites, with a date 1024 weeks in the past", "gnss_time: false",
        ),
    ],
)  # fmt: skip
def test_what_the_receiver_is_worth(found, verdict, words, advice):
    finding = judge_receiver("/dev/pinhole-gnss", found)
    assert (finding.check, finding.verdict, finding.message) == ("gnss", verdict, words)
    assert advice in finding.advice
