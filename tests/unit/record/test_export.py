"""An export is one MP4 that any player shows, of what was recorded alone, and every bit of it is signed."""

import os
import random
from dataclasses import replace

import av
import pytest
from parts.recordings import OFFSET_US, START_US, decoded, pictures

from agent.model import evidence
from agent.model.evidence import EvidenceError, verify
from agent.model.inside import open_inside
from agent.model.keys import encode_public
from agent.record import export as export_module
from agent.record.cleaner import Bounds, Cleaner, Space
from agent.record.export import MAX_SPAN_S, PART, About, Exporter, ExportError
from agent.signaling.trust import KeyRing, SigningKey, make_signing_key, open_sealed

BEGAN_S = (START_US + OFFSET_US) / 1e6
KEY, OTHER = SigningKey(make_signing_key()), SigningKey(make_signing_key())


def check(file, *keys):
    ring = KeyRing.of(key.public for key in keys or (KEY,))
    return verify(file, lambda topic, sealed: open_sealed(topic, sealed, ring.find))


@pytest.fixture
def exporter(desk):
    about = About("front", "Front door", "1.2.3", encode_public(KEY.public))
    return Exporter(desk.index, about, lambda words: KEY.seal(evidence.TOPIC, words), 0)


def export(exporter, since_s, until_s, stream="main"):
    return exporter.make(stream, BEGAN_S + since_s, BEGAN_S + until_s)


def test_a_span_across_files_is_one_film_in_which_one_can_jump(desk, exporter):
    desk.record(pictures(150))
    made = export(exporter, 50, 130)
    assert made.file.stat().st_size == made.size_bytes
    assert evidence.digest(made.file, made.size_bytes) == made.sha256
    assert decoded(made.file) == 800
    with av.open(str(made.file)) as container:
        stream = container.streams.video[0]
        assert float(stream.duration * stream.time_base) == pytest.approx(80.0, abs=0.01)
        assert (stream.codec_context.width, stream.frames) == (64, 800)
        container.seek(40_000_000)
        assert next(container.decode(video=0)).time == pytest.approx(40.0, abs=0.01)


def test_its_tables_stand_before_the_pictures(desk, exporter):
    desk.record(pictures(4))
    data = export(exporter, 0, 4).file.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert data[4:8] == b"ftyp"


def test_the_manifest_says_what_it_is_and_when(desk, exporter):
    desk.record(pictures(10))
    manifest = check(export(exporter, 3.5, 7).file)
    assert (manifest.device, manifest.name, manifest.software) == ("front", "Front door", "1.2.3")
    [part] = manifest.parts
    assert part.since == pytest.approx(BEGAN_S + 2), "the IDR before it"
    assert part.until == pytest.approx(BEGAN_S + 7, abs=1.01)
    assert (part.at_s, part.clock, part.pictures) == (0, "set", round((part.until - part.since) * 10))
    assert (manifest.since, manifest.until) == (BEGAN_S + 3.5, BEGAN_S + 7)


def test_gaps_and_another_size_of_the_picture_are_in_it(desk, exporter):
    desk.record(pictures(4))
    desk.record(pictures(4, START_US + 60_000_000, epoch=1, width_px=128))
    made = export(exporter, 0, 100)
    first, second = made.manifest.parts
    assert (first.pictures, second.pictures) == (40, 40)
    assert second.at_s == pytest.approx(4.0, abs=0.01)
    assert second.since - first.until == pytest.approx(56.0, abs=0.01)
    with av.open(str(made.file)) as container:
        sizes = [frame.width for frame in container.decode(video=0)]
    assert sizes == [64] * 40 + [128] * 40


def test_a_clock_that_was_not_set_is_said(desk, exporter):
    desk.is_clock_set = False
    desk.record(pictures(4))
    [part] = export(exporter, 0, 4).manifest.parts
    assert part.clock == "unset"


def test_what_is_still_written_is_exported_as_far_as_it_is(desk, exporter):
    writer = desk.record(pictures(5), close=False)
    assert decoded(export(exporter, 0, 60).file) == 50
    writer.close()


@pytest.mark.parametrize("where", ["start", "media", "manifest", "anywhere"])
def test_one_flipped_bit_is_found_wherever_it_is(desk, exporter, where, tmp_path):
    desk.record(pictures(4))
    made = export(exporter, 0, 4)
    data = made.file.read_bytes()
    media = data.index(b"mdat") + 4
    end = made.manifest.size_bytes
    places = {
        "start": range(media),
        "media": range(media, end, 97),
        "manifest": range(end, len(data)),
        "anywhere": random.Random(1).sample(range(len(data)), 300),
    }[where]
    dice, file = random.Random(7), tmp_path / "changed.mp4"
    assert check(made.file)
    changed = bytearray(data)
    for at in places:
        bit = 1 << dice.randrange(8)
        changed[at] ^= bit
        file.write_bytes(changed)
        with pytest.raises(EvidenceError):
            check(file)
        changed[at] ^= bit


def test_every_bit_of_the_signature_counts(desk, exporter, tmp_path):
    """Also those four that the spelling in base64 has too many."""
    desk.record(pictures(2))
    data = bytearray(export(exporter, 0, 2).file.read_bytes())
    for at in range(len(data) - 2, len(data)):
        for bit in range(8):
            data[at] ^= 1 << bit
            (tmp_path / "changed.mp4").write_bytes(data)
            with pytest.raises(EvidenceError):
                check(tmp_path / "changed.mp4")
            data[at] ^= 1 << bit


def test_what_is_cut_off_added_or_taken_out_is_found(desk, exporter, tmp_path):
    desk.record(pictures(4))
    data, file = export(exporter, 0, 4).file.read_bytes(), tmp_path / "changed.mp4"
    without_one = data[:5000] + data[5001:]
    for changed in (data[:-1], data + b"\0", data + data[-400:], data[1:], without_one, b"", b"x"):
        file.write_bytes(changed)
        with pytest.raises(EvidenceError):
            check(file)


def test_two_exports_cannot_be_mixed(desk, exporter, tmp_path):
    desk.record(pictures(10))
    one, other = export(exporter, 0, 4), export(exporter, 4, 9)
    mixed = (
        one.file.read_bytes()[: one.manifest.size_bytes]
        + other.file.read_bytes()[other.manifest.size_bytes :]
    )
    (tmp_path / "mixed.mp4").write_bytes(mixed)
    with pytest.raises(EvidenceError):
        check(tmp_path / "mixed.mp4")


def test_another_devices_signature_does_not_count(desk, exporter):
    desk.record(pictures(2))
    made = export(exporter, 0, 2)
    with pytest.raises(EvidenceError, match="another device's"):
        check(made.file, OTHER)


def test_a_message_that_the_device_signed_for_something_else_is_no_manifest(desk, exporter, tmp_path):
    desk.record(pictures(2))
    made = export(exporter, 0, 2)
    body = made.file.read_bytes()[: made.manifest.size_bytes]
    sealed = KEY.seal("pinhole/v1/front/state", evidence.encode_manifest(made.manifest))
    (tmp_path / "forged.mp4").write_bytes(body + evidence.encode_box(sealed))
    with pytest.raises(EvidenceError, match="signed for"):
        check(tmp_path / "forged.mp4")


def test_any_other_film_has_no_manifest(desk):
    desk.record(pictures(2))
    with pytest.raises(EvidenceError, match="recordings from a card or a store are not signed"):
        check(desk.files()[0])


def test_where_nothing_is_recorded_it_says_so(desk, exporter):
    desk.record(pictures(2))
    for since_s, until_s, stream in ((100, 200, "main"), (-50, -10, "main"), (0, 2, "preview")):
        with pytest.raises(ExportError, match="nothing is recorded"):
            export(exporter, since_s, until_s, stream)


@pytest.mark.parametrize(("since_s", "until_s"), [(5, 5), (5, 4), (0, MAX_SPAN_S + 1)])
def test_a_span_has_a_length(exporter, since_s, until_s):
    with pytest.raises(ExportError, match="4 hours"):
        export(exporter, since_s, until_s)


def test_too_much_for_the_disk_or_for_one_file_is_refused_before_it_is_begun(desk, exporter, monkeypatch):
    desk.record(pictures(4))
    monkeypatch.setattr(export_module, "MAX_FILE_BYTES", 1000)
    with pytest.raises(ExportError, match="export it in parts"):
        export(exporter, 0, 4)
    monkeypatch.undo()
    exporter._min_free_bytes = 1 << 60
    with pytest.raises(ExportError, match="are free"):
        export(exporter, 0, 4)
    assert list((desk.folder / "exports").iterdir()) == []


def test_few_are_kept(desk, exporter, monkeypatch):
    desk.record(pictures(4))
    monkeypatch.setattr(export_module, "MAX_KEPT", 3)
    made = [export(exporter, 0, 4) for _ in range(5)]
    assert len(list((desk.folder / "exports").iterdir())) <= 3
    assert exporter.find(made[-1].id) == made[-1].file
    assert exporter.find(made[0].id) is None
    assert exporter.find("../index") is None


def test_a_day_after_it_was_asked_for_it_is_gone_though_nobody_makes_another(desk, exporter):
    desk.record(pictures(4))
    made, cleaner = export(exporter, 0, 4), Cleaner(desk.index, Bounds(None, 0, None))
    made_s = made.file.stat().st_mtime
    os.utime(made.file, (made_s, made_s - 86_000))
    assert exporter.find(made.id) == made.file, "as a fetch asks again and again while it lasts"
    asked_us = int(made.file.stat().st_mtime * 1e6)
    cleaner.make_room(1, asked_us + 86_400_000_000 - 1)
    assert made.file.exists()
    cleaner.make_room(1, asked_us + 86_400_000_000 + 1_000_000)
    assert exporter.find(made.id) is None


def test_one_that_is_not_wanted_any_more_leaves_nothing(desk, exporter):
    desk.record(pictures(4))
    with pytest.raises(ExportError, match="not wanted"):
        exporter.make("main", BEGAN_S, BEGAN_S + 4, lambda: False)
    assert list((desk.folder / "exports").iterdir()) == []


def test_what_was_removed_meanwhile_is_told(desk, exporter):
    desk.record(pictures(130))
    plan = exporter._plan("main", round(BEGAN_S * 1e6), round((BEGAN_S + 130) * 1e6))
    desk.files()[1].unlink()
    with pytest.raises(ExportError, match="try again"):
        list(exporter._bytes(plan, BEGAN_S))


def test_the_index_takes_no_export_for_a_recording(desk, exporter):
    desk.record(pictures(4))
    export(exporter, 0, 4)
    desk.index.reconcile()
    assert len(desk.index.segments("main", 0, 1 << 62)) == 1


def test_a_manifest_of_another_shape_is_told(desk, exporter, tmp_path):
    desk.record(pictures(2))
    made = export(exporter, 0, 2)
    body = made.file.read_bytes()[: made.manifest.size_bytes]
    wrong = replace(made.manifest, size_bytes=made.manifest.size_bytes + 1)
    for words in (b"{}", evidence.encode_manifest(wrong)):
        sealed = KEY.seal(evidence.TOPIC, words)
        (tmp_path / "odd.mp4").write_bytes(body + evidence.encode_box(sealed))
        with pytest.raises(EvidenceError):
            check(tmp_path / "odd.mp4")


def test_a_link_on_a_prepared_card_is_no_export(desk, exporter, tmp_path):
    desk.record(pictures(4))
    secret = tmp_path / "key.pem"
    secret.write_text("secret")
    folder = desk.folder / "exports"
    folder.mkdir()
    (folder / f"{'0a' * 16}.mp4").symlink_to(secret)
    (folder / f"{'0b' * 16}.mp4").symlink_to(tmp_path / "nowhere")
    os.mkfifo(folder / f"{'0c' * 16}.mp4")
    for number in ("0a", "0b", "0c"):
        assert exporter.find(number * 16) is None
    made = export(exporter, 0, 4)
    assert exporter.find(made.id) == made.file
    with pytest.raises(OSError, match="is a link or no file at all"):
        os.close(open_inside(folder / f"{'0a' * 16}.mp4"))
    with pytest.raises(OSError, match="is a link or no file at all"):
        os.close(open_inside(folder / f"{'0c' * 16}.mp4"))


def test_a_folder_of_exports_that_is_a_link_leads_nowhere(desk, exporter, tmp_path):
    desk.record(pictures(4))
    outside = tmp_path / "outside"
    outside.mkdir()
    film, part = outside / f"{'0a' * 16}.mp4", outside / f"mine{PART}"
    for file in (film, part):
        file.touch()
        os.utime(file, (1, 1))  # old enough to be removed
    (desk.folder / "exports").symlink_to(outside)
    assert exporter.find("0a" * 16) is None
    exporter.tidy()
    with pytest.raises(OSError, match="exports is a link or a file, and should be a folder: remove it"):
        export(exporter, 0, 4)
    assert sorted(outside.iterdir()) == sorted((film, part))


def test_exports_are_within_what_recordings_may_take(desk, exporter):
    desk.record(pictures(130))
    used_bytes = desk.index.used_bytes
    narrow = Exporter(desk.index, exporter._about, exporter._seal, 0, max_bytes=used_bytes)
    with pytest.raises(ExportError, match=r"25% of record\.max_mb"):
        export(narrow, 0, 130)
    first = export(narrow, 0, 22)
    second = export(narrow, 0, 20)
    assert [one.is_file() for one in (first.file, second.file)] == [False, True], "the older one goes"
    disk = Space(1 << 40, 1 << 40)
    cleaner = Cleaner(desk.index, Bounds(used_bytes, 0, None), lambda _: disk)
    assert cleaner.cap_bytes == used_bytes - second.size_bytes
    cleaner.make_room(0, 0)
    assert desk.index.used_bytes + second.size_bytes <= used_bytes
