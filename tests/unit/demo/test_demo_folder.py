"""Each demo has a private folder; what dead ones left is cleared away, living ones are left alone."""

import os

import pytest

from agent.demo.folder import demo_folder, find_running
from agent.errors import PinholeError


@pytest.fixture(autouse=True)
def run_time(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


def test_the_folder_is_private_and_goes_with_the_demo(run_time):
    with demo_folder() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        assert folder.parent.stat().st_mode & 0o777 == 0o700
        assert folder.is_relative_to(run_time)
    assert list(run_time.iterdir()) == []


def test_only_a_demo_that_is_ready_and_alive_is_found():
    assert find_running() is None
    with demo_folder() as folder:
        assert find_running() is None
        (folder / "url").write_text("http://127.0.0.1:1\n")
        found = find_running()
        assert found is not None
        assert found.url == "http://127.0.0.1:1"
        assert found.password_file == folder / "portal-password"
    assert find_running() is None


def test_the_demo_that_became_ready_last_is_found():
    with demo_folder() as first, demo_folder() as second:
        for age_s, folder in ((10, second), (0, first)):
            (folder / "url").write_text(folder.name)
            os.utime(folder / "url", (1e9 - age_s, 1e9 - age_s))
        assert find_running().url == first.name


def test_what_a_dead_demo_left_is_cleared_away_and_never_found(run_time):
    dead = run_time / "pinhole-demo" / "dead"
    dead.mkdir(parents=True, mode=0o700)
    dead.parent.chmod(0o700)
    (dead / "url").write_text("http://127.0.0.1:1")
    assert find_running() is None
    with demo_folder() as living, demo_folder():
        assert not dead.exists()
        assert living.exists()


def test_a_folder_that_others_can_enter_is_refused(run_time):
    (run_time / "pinhole-demo").mkdir()
    (run_time / "pinhole-demo").chmod(0o755)
    with pytest.raises(PinholeError, match="mode 0700"), demo_folder():
        pass
