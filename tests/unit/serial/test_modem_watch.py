"""What people are told of a modem, and the day that a graph shows."""

from dataclasses import replace

from pydantic import TypeAdapter

from agent.model.modem_history import MAX_SAMPLES, SAMPLE_S, ModemHistory
from agent.serial.modem.status import ModemStatus
from agent.serial.modem.watch import History, ModemWatch, Troubles

GOOD = ModemStatus(
    "modemmanager", "connected", operator="Net", technology="LTE", rsrp_dbm=-85.0, sinr_db=15.0
)
POOR = replace(GOOD, rsrp_dbm=-118.0)
ABSENT = ModemStatus("modemmanager", "absent", "ModemManager knows no modem")
NO_SIM = ModemStatus("modemmanager", "sim-missing", "there is no SIM card in it", sim="missing")


def told(*spans, step_s=10.0):
    """Kinds of event with their times, over (status, seconds) one after the other."""
    troubles, now_s, news = Troubles(), 1000.0, []
    for status, seconds in spans:
        for _ in range(int(seconds / step_s)):
            news += [(kind, now_s - 1000.0) for kind, _ in troubles.see(status, now_s)]
            now_s += step_s
    return news


def test_a_modem_that_is_reset_is_not_told_as_absent():
    assert told((GOOD, 60), (ABSENT, 80), (GOOD, 60)) == []


def test_one_that_stays_away_is_told_once():
    assert told((ABSENT, 4000)) == [("modem-absent", 90.0)]


def test_one_that_was_there_again_is_told_again():
    kinds = told((ABSENT, 200), (GOOD, 200), (ABSENT, 200))
    assert [kind for kind, _ in kinds] == ["modem-absent"] * 2


def test_a_missing_card_is_told_soon():
    assert told((NO_SIM, 300)) == [("sim-missing", 20.0)]


def test_a_signal_is_poor_only_after_minutes():
    assert told((POOR, 290), (GOOD, 100), (POOR, 290)) == []
    assert told((POOR, 600)) == [("signal-poor", 300.0)]


def test_at_the_edge_of_a_cell_it_is_told_once():
    edge = [(POOR, 400), (replace(GOOD, rsrp_dbm=-113.0), 400)] * 10
    assert [kind for kind, _ in told(*edge)] == ["signal-poor"]
    assert [kind for kind, _ in told((POOR, 400), (GOOD, 700), (POOR, 400))] == ["signal-poor"] * 2


def test_the_words_say_what_and_where():
    [(_, words)] = [each for now_s in (1.0, 500.0) for each in (TROUBLES.see(POOR, now_s))]
    assert words == "Net LTE: -118 dBm, 15 dB above noise; another place or an outdoor antenna helps"


TROUBLES = Troubles()


def test_a_day_is_kept_and_no_more():
    history, sent_bytes = History(), 0
    for second in range(0, int(SAMPLE_S * (MAX_SAMPLES + 20)), 10):
        sent_bytes += 12_500
        history.see(replace(GOOD, sent_bytes=sent_bytes), float(second))
    made = history.told(1_800_000_000.0)
    assert len(made.rsrp_dbm) == len(made.sinr_db) == len(made.sent_bps) == MAX_SAMPLES
    assert set(made.rsrp_dbm) == {-85.0}
    assert set(made.sent_bps) == {10_000}
    wire = TypeAdapter(ModemHistory).dump_json(made)
    assert len(wire) < 16 * 1024
    assert TypeAdapter(ModemHistory).validate_json(wire) == made


def test_what_is_unknown_is_a_gap():
    history = History()
    for second in (0, 100, 200, 300):
        history.see(ABSENT, float(second))
    for second, sent_bytes in ((400, 5000), (600, 0)):
        history.see(replace(GOOD, rsrp_dbm=-90.0 - second / 100, sent_bytes=sent_bytes), float(second))
    made = history.told(0.0)
    assert made.rsrp_dbm == (None, -95.0)
    assert made.sent_bps == (None, None), "nobody counted, and then a month began"
    assert History().told(0.0).rsrp_dbm == ()


def test_the_section_is_told_when_people_would_see_it():
    class Fake:
        status = GOOD

    changes, events = [], []
    clock = iter(range(0, 10_000, 100))
    watch = ModemWatch(
        Fake(), lambda *event: events.append(event), lambda: changes.append(1), lambda: next(clock)
    )
    watch.look()
    watch.look()
    assert len(changes) == 1
    Fake.status = replace(GOOD, rsrp_dbm=-86.0)
    watch.look()
    assert len(changes) == 1, "not with each decibel"
    Fake.status = ABSENT
    watch.look()
    watch.look()
    assert len(changes) == 2
    assert events == [("modem-absent", "ModemManager knows no modem")]
    assert watch.section().state == "absent"
    assert watch.history().interval_s == SAMPLE_S
