"""What a modem carried in a month, by counters that begin anew."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from agent.model.sections import InterfaceBytes
from agent.serial.modem.data import Counted, DataCount, Traffic, advance, interface_traffic, interfaces


class Holds:
    """A record that nobody writes."""

    def __init__(self, kept):
        self.kept = kept

    def load(self):
        return self.kept

    def keep(self, *_, **__): ...


def after(*steps, month="2027-01-01", counted=None):
    counted = counted or Counted()
    for step in steps:
        counted = advance(counted, step, month)
    return counted


def test_differences_count():
    made = after((Traffic("a", 10, 100),), (Traffic("a", 15, 130),), (Traffic("a", 15, 130),))
    assert (made.since, made.received_bytes, made.sent_bytes) == ("2027-01-01", 15, 130)


def test_a_count_that_falls_is_of_a_new_connection():
    made = after((Traffic("a", 10, 100),), (Traffic("a", 3, 120),))
    assert (made.received_bytes, made.sent_bytes) == (13, 220)


def test_another_connection_begins_at_nothing():
    made = after((Traffic("a", 10, 100),), (), (Traffic("b", 5, 5),))
    assert (made.received_bytes, made.sent_bytes) == (15, 105)


def test_a_modem_that_was_away_goes_on_where_it_was():
    made = after((Traffic("a", 10, 100),), (), (Traffic("a", 12, 101),))
    assert (made.received_bytes, made.sent_bytes) == (12, 101)


def test_a_connection_that_is_missing_from_one_look_counts_once():
    a, b = Traffic("a", 10, 100), Traffic("b", 1, 1)
    made = after((a, b), (b,), (a, b))
    assert (made.received_bytes, made.sent_bytes) == (11, 101)


def test_connections_of_long_ago_are_forgotten_first():
    made = after((Traffic("a", 1, 1),), *((Traffic(f"b{number}", 1, 1),) for number in range(15)))
    assert len(made.last) == 16
    made = after((Traffic("a", 1, 1),), (Traffic("c", 1, 1),), counted=made)
    assert list(made.last)[-2:] == ["a", "c"]
    assert (made.received_bytes, len(made.last)) == (17, 16)


def test_what_the_kernel_counted_before_does_not_count():
    kernel = Traffic("interface wwan0", 5_000, 7_000)
    made = after((Traffic("a", 10, 100),), (kernel,), (replace(kernel, sent_bytes=7_001),))
    assert (made.received_bytes, made.sent_bytes) == (10, 101)
    made = after((Traffic("a", 20, 200),), (replace(kernel, sent_bytes=8_000),), counted=made)
    assert (made.received_bytes, made.sent_bytes) == (20, 201), "both carried the same"


def test_an_interface_goes_on_after_a_reconnection():
    kernel = Traffic("interface wwan0", 5_000, 7_000)
    made = after((kernel,), (), (replace(kernel, sent_bytes=7_001),))
    assert (made.received_bytes, made.sent_bytes) == (0, 1)


def test_a_month_begins_with_nothing_and_the_connection_goes_on():
    made = advance(after((Traffic("a", 10, 100),)), (Traffic("a", 11, 105),), "2027-02-01")
    assert (made.since, made.received_bytes, made.sent_bytes) == ("2027-02-01", 1, 5)


def test_what_was_sent_while_the_clock_was_wrong_counts():
    made = advance(after((Traffic("a", 10, 100),), month=""), (Traffic("a", 11, 105),), "2027-02-01")
    assert (made.since, made.received_bytes, made.sent_bytes) == ("2027-02-01", 11, 105)
    assert advance(made, (), "").since == "2027-02-01", "a clock that is lost ends no month"


def test_a_clock_that_was_ahead_leaves_the_month_to_end():
    made = advance(after((Traffic("a", 10, 100),), month="2028-01-01"), (), "2027-01-01")
    assert (made.since, made.sent_bytes) == ("2027-01-01", 100)
    assert advance(made, (), "2027-02-01").sent_bytes == 0


def test_a_clock_that_is_behind_and_not_set_yet_takes_no_month_back():
    kept = Counted("2027-02-01", 10, 100)
    count = DataCount(Holds(kept), lambda: "2027-01-01", lambda: False)
    count.add([], 0.0)
    assert count.counted == kept
    count = DataCount(Holds(count.counted), lambda: "2027-02-01", lambda: True)
    count.add([], 0.0)
    assert count.counted == kept, "it would be of a month that begins"


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 1000), st.integers(0, 1000)), max_size=20))
def test_a_count_never_falls_and_survives_the_disk(steps):
    adapter, counted = TypeAdapter(Counted), Counted()
    for step in steps:
        before = counted
        counted = advance(counted, (Traffic(*step),), "2027-01-01")
        assert counted.received_bytes >= before.received_bytes
        assert counted.sent_bytes >= before.sent_bytes
        counted = adapter.validate_json(adapter.dump_json(counted))


def test_it_is_kept_and_goes_on_after_a_restart():
    class Record:
        kept = None

        def load(self):
            return self.kept

        def keep(self, value, *_, **__):
            Record.kept = value

        write = keep

    DataCount(Record(), lambda: "2027-01-01", lambda: True).add([Traffic("a", 10, 100)], 0.0)
    again = DataCount(Record(), lambda: "2027-01-01", lambda: True)
    again.add([Traffic("a", 11, 100)], 0.0)
    assert again.counted.received_bytes == 11


def test_the_kernel_counts_too(tmp_path):
    statistics = tmp_path / "wwan0" / "statistics"
    statistics.mkdir(parents=True)
    (statistics / "rx_bytes").write_text("12\n")
    assert interface_traffic("wwan0", tmp_path) is None
    (statistics / "tx_bytes").write_text("34\n")
    assert interface_traffic("wwan0", tmp_path) == Traffic("interface wwan0", 12, 34)
    assert interface_traffic("../wwan0", tmp_path) is None
    assert interface_traffic("", tmp_path) is None


def test_bytes_are_told_by_interface_and_none_twice(tmp_path):
    for number, (name, kind, is_device) in enumerate(
        [
            ("lo", 772, False),
            ("wlan0", 1, True),
            ("wg0", 65534, False),
            ("ppp0", 512, False),
            ("usb0", 1, True),
        ]
    ):
        folder = tmp_path / name
        (folder / "statistics").mkdir(parents=True)
        (folder / "type").write_text(f"{kind}\n")
        (folder / "statistics/rx_bytes").write_text(f"{number}000\n")
        (folder / "statistics/tx_bytes").write_text(f"{number}\n")
        if is_device:
            (folder / "device").mkdir()
    (tmp_path / "bonding_masters").write_text("\n")  # a file among them
    told = (
        InterfaceBytes("ppp0", 3000, 3),
        InterfaceBytes("usb0", 4000, 4),
        InterfaceBytes("wlan0", 1000, 1),
    )
    assert interfaces(tmp_path) == told
    assert interfaces(tmp_path / "none") == ()
