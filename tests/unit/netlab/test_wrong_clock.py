"""The clock that a test steps while an agent reads it."""

from netlab.wrong_clock import step


def test_who_reads_the_clock_while_it_is_stepped_finds_no_empty_file(tmp_path):
    file = tmp_path / "offset"
    step(file, 0)
    with file.open() as reading:
        step(file, 3600)
        assert reading.read() == "0"
    assert file.read_text() == "3600"
