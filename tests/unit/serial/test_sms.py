"""The lifeline: what the portal signed for this device is done once, and nothing else ever is."""

import asyncio
import logging
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from agent.device.ledger import Ledger
from agent.errors import MessageError, ModemError
from agent.model.sections import ModemSection
from agent.model.sms import MAX_CHARS, VERBS, is_command, make_command, parse_command
from agent.serial.modem.sms import MAX_AGE_S, MAX_USED, SKEW_S, Heard, Lifeline, Now
from agent.signaling.trust import KeyRing, SigningKey, make_signing_key

PORTAL, OTHER = SigningKey(make_signing_key()), SigningKey(make_signing_key())
RING = KeyRing.of([PORTAL.public])
NOW_S = 1_800_000_000.0
GSM7 = set(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
"""3GPP TS 23.038 section 6.2.1, without its extension."""


def text(verb="reboot", argument="", at_s=NOW_S, device="door", key=PORTAL):
    command = make_command(verb, argument, at_s)
    return command.encode(key.sign_bytes(command.signed_by(device)))


class Camera:
    """What an SMS may have it do."""

    def __init__(self, folder, *, unix_s=NOW_S, is_set=True):
        self.file, self.done = folder / "sms.json", []
        self.unix_s, self.is_set, self.mono_s = unix_s, is_set, 0.0
        self.fault = None
        self.start()

    def start(self):
        self.line = Lifeline(
            "door", RING.verifies_bytes, {verb: self._act(verb) for verb in VERBS},
            Ledger(self.file, TypeAdapter(Heard)), lambda: Now(self.unix_s, self.is_set, self.mono_s),
        )  # fmt: skip

    def _act(self, verb):
        def act(argument):
            self.done.append((verb, argument))
            if self.fault:
                raise self.fault
            return "done"

        return act

    def get(self, message):
        self.mono_s += 61.0
        return asyncio.run(self.line.on_sms(message))

    @property
    def refused(self):
        return self.line.heard.refused


@pytest.fixture
def camera(tmp_path):
    return Camera(tmp_path)


@pytest.mark.parametrize(
    ("verb", "argument"), [("status", ""), ("reboot", ""), ("plan", ""), ("apn", "a.b-c")]
)
def test_each_verb_is_done_and_answered(camera, verb, argument):
    message = text(verb, argument)
    nonce = parse_command(message)[0].nonce
    assert camera.get(message) == f"door {nonce} done"
    assert camera.done == [(verb, argument)]


@pytest.mark.parametrize("device", ["d", "d" * 64])
def test_the_longest_fits_into_one_message_of_seven_bits(device):
    message = text("apn", "a" * 47, at_s=2.0**40, device=device)
    assert len(message) <= MAX_CHARS
    assert set(message) <= GSM7


def test_who_it_is_for_and_who_it_is_of_counts(camera):
    for message in (text(device="gate"), text(key=OTHER)):
        assert camera.get(message) is None
    assert (camera.done, camera.refused) == ([], {"forged": 2})
    assert camera.line.told(ModemSection(state="connected")) == ModemSection("", "connected", sms_refused=2)


def test_nothing_in_it_can_be_changed(camera):
    message = text("apn", "internet.example")
    for at, char in enumerate(message):
        spoilt = message[:at] + ("1" if char == "0" else "0") + message[at + 1 :]
        assert camera.get(spoilt) is None
        assert camera.done == [], spoilt


def test_it_counts_once_also_after_a_restart(camera):
    message = text()
    assert camera.get(message)
    assert camera.get(message) is None
    camera.start()
    assert camera.get(message) is None
    assert (len(camera.done), camera.refused) == (1, {"replayed": 2})
    camera.start()
    assert camera.refused == {"replayed": 2}


def test_two_of_one_second_both_count_and_so_does_one_that_was_overtaken(camera):
    camera.unix_s += 100
    for at_s in (NOW_S + 50, NOW_S + 50, NOW_S + 10):
        assert camera.get(text(at_s=at_s))


@pytest.mark.parametrize(
    ("age_s", "counts"),
    [(MAX_AGE_S - 1, True), (MAX_AGE_S + 1, False), (-SKEW_S, True), (-SKEW_S - 1, False)],
)
def test_with_a_clock_it_counts_for_some_hours(camera, age_s, counts):
    camera.line.note_time()
    camera.unix_s += 10 * MAX_AGE_S
    assert bool(camera.get(text(at_s=camera.unix_s - age_s))) is counts
    assert camera.refused == ({} if counts else {"old": 1})


def test_without_a_clock_what_was_signed_since_there_was_one_counts(camera):
    camera.unix_s += 10 * MAX_AGE_S
    camera.mono_s += 3600.0
    camera.line.note_time()
    known_s = camera.unix_s
    camera.unix_s, camera.is_set = 1_700_000_000.0, False  # a boot without a battery
    camera.start()
    assert camera.get(text(at_s=known_s - MAX_AGE_S - 1)) is None
    assert camera.get(text(at_s=known_s + 30 * 86400))
    assert camera.refused == {"old": 1}


def test_who_never_had_a_clock_takes_nothing(tmp_path):
    camera = Camera(tmp_path, is_set=False)
    assert camera.get(text()) is None
    assert camera.refused == {"old": 1}
    camera.is_set = True
    camera.line.note_time()
    assert camera.get(text(at_s=camera.unix_s + 1))


def test_a_damaged_file_lets_nothing_old_count_again(camera):
    message = text(at_s=NOW_S + 1)
    assert camera.get(message)
    camera.file.write_bytes(b"\0")
    camera.unix_s += 60
    camera.start()
    assert camera.get(message) is None
    assert camera.get(text(at_s=camera.unix_s + 1))


def test_a_clock_that_was_ahead_once_shuts_nobody_out(camera):
    camera.unix_s += 20 * 365 * 86400
    camera.line.note_time()
    camera.unix_s = NOW_S + 100
    camera.start()
    assert camera.get(text(at_s=NOW_S + 90))


def test_what_is_forgotten_does_not_count_again(camera):
    camera.unix_s += 1000
    sent = [text(at_s=NOW_S + number) for number in range(MAX_USED + 5)]
    assert all(camera.get(message) for message in sent)
    assert not any(camera.get(message) for message in sent)
    assert len(camera.line.heard.used) == MAX_USED


def test_nothing_is_done_that_the_disk_does_not_keep(camera, monkeypatch):
    monkeypatch.setattr(Ledger, "write", lambda _self, _value: None)
    assert camera.get(text()) is None
    assert camera.done == []


async def test_a_card_that_takes_its_time_holds_up_nobody(camera, monkeypatch):
    is_free, write = threading.Event(), Ledger.write
    monkeypatch.setattr(Ledger, "write", lambda it, value: is_free.wait(10) and write(it, value))
    task = asyncio.create_task(camera.line.on_sms(text()))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not task.done(), "and the loop goes on"
    assert camera.done == []
    is_free.set()
    assert (await task).endswith("done")


async def test_a_card_that_never_answers_keeps_no_modem_waiting(camera, monkeypatch):
    is_free, write = threading.Event(), Ledger.write
    with monkeypatch.context() as hung:
        hung.setattr("agent.model.threads.SAVE_S", 0.0)
        hung.setattr(Ledger, "write", lambda it, value: is_free.wait(60) and write(it, value))
        assert await camera.line.on_sms(text()) is None
    is_free.set()
    assert camera.done == []
    assert (await camera.line.on_sms(text("status"))).endswith("done"), "and the next one is"
    assert [verb for verb, _ in camera.done] == ["status"]


def test_an_hour_that_is_over_while_the_card_writes_refuses_nothing(camera, monkeypatch):
    write = Ledger.write

    def write_for_long(it, value):
        write(it, value)
        camera.mono_s += 3600.0
        camera.unix_s += 10 * MAX_AGE_S
        camera.line.note_time()

    monkeypatch.setattr(Ledger, "write", write_for_long)
    message = text()
    assert camera.get(message).endswith("done")
    assert camera.line.heard.floor_s == camera.unix_s - MAX_AGE_S
    camera.start()
    camera.unix_s = NOW_S + 1
    assert camera.get(message) is None
    assert len(camera.done) == 1


@pytest.mark.parametrize("fault", [MessageError, lambda _, words: ModemError(words)])
def test_what_fails_is_answered_and_counted(camera, fault):
    camera.fault = fault("no-service", "nobody here reboots for the agent ÄÖ{}[]\\~ " + "x" * 200)
    answer = camera.get(text())
    assert "failed: nobody here reboots" in answer
    assert len(answer) <= MAX_CHARS
    assert set(answer) <= GSM7
    assert camera.refused == {"failed": 1}


@pytest.mark.parametrize("message", ["", "Your bill is ready", "PH2 x", "PH1", "x" * 10_000])
def test_what_is_none_of_ours_is_none_of_our_business(camera, message, caplog):
    caplog.set_level(logging.INFO)
    assert camera.get(message) is None
    assert (camera.refused, caplog.text) == ({}, "")


@pytest.mark.parametrize(
    ("verb", "argument"),
    [
        ("format", ""),
        ("reboot", "now"),
        ("apn", ""),
        ("apn", "a b"),
        ("apn", "$(x)"),
        ("apn", "-a"),
        ("apn", "a" * 48),
    ],
)
def test_no_other_is_made(verb, argument):
    with pytest.raises(MessageError) as caught:
        make_command(verb, argument, NOW_S)
    assert caught.value.code == "invalid"


@given(st.text(max_size=200) | st.text("PH1 0aZ/+=\n", max_size=170).map("PH1 ".__add__))
def test_whatever_comes_is_refused_with_our_own_error_or_is_what_it_says(message):
    try:
        command, signature = parse_command(message)
    except MessageError:
        return
    assert command.encode(signature) == message.strip()
    assert is_command(message.strip())


@given(
    st.integers(0, 2**40),
    st.sampled_from(VERBS),
    st.from_regex(r"[a-z0-9]{1,47}", fullmatch=True),
    st.binary(min_size=64, max_size=64),
)
def test_what_is_encoded_is_parsed(at_s, verb, argument, signature):
    command = make_command(verb, argument if verb == "apn" else "", at_s)
    assert parse_command(command.encode(signature)) == (command, signature)
