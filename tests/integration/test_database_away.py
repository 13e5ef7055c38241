"""A portal whose database is away when it starts: it says so, waits, and serves when it is there."""

import contextlib
import json
import os
import socket
import sqlite3
import time
import urllib.error
import urllib.request

import pytest
from parts.database import postgresql
from parts.stack import START_TIMEOUT_S, await_log, start_program, stop_program

PATIENCE_S = 60.0


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def ask(url):
    """Status and body; None while nobody listens."""
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as exc:
        return exc.code, exc.read()
    except OSError:
        return None


def until(found, process):
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s and process.poll() is None:
        if found():
            return True
        time.sleep(0.05)
    return False


@contextlib.contextmanager
def held_file(folder):
    """SQLite's file, in the hands of another program, as while a copy is put back."""
    with contextlib.closing(sqlite3.connect(folder / "portal.db", isolation_level=None)) as other:
        (folder / "portal.db").chmod(0o600)
        other.execute("BEGIN EXCLUSIVE")
        yield "sqlite:///portal.db", lambda: other.execute("COMMIT")


@contextlib.contextmanager
def stopped_server(_folder):
    with postgresql() as server:
        url = server.new_database()
        server.stop()
        is_back = []

        def come_back():
            server.start()
            is_back.append(True)

        try:
            yield url, come_back
        finally:
            if not is_back:
                server.start()


@pytest.mark.parametrize("away", [held_file, stopped_server])
def test_a_database_that_comes_later_is_waited_for_and_its_absence_told(tmp_path, away):
    port, config = free_port(), tmp_path / "pinhole.toml"
    url = f"http://127.0.0.1:{port}"
    with away(tmp_path) as (database_url, come_back):
        config.write_text(
            f'[broker]\nurl = "mqtt://127.0.0.1:{free_port()}"\n'
            f'[portal]\nport = {port}\nstate_dir = "state"\ndatabase_url = "{database_url}"\n'
        )
        process = start_program("portal", "portal", config, dict(os.environ))
        try:
            assert until(lambda: ask(f"{url}/healthz"), process), (tmp_path / "portal.log").read_text()
            status, body = ask(f"{url}/healthz")
            assert (status, json.loads(body)["status"]) == (503, "database-away")
            assert ask(f"{url}/api/session")[0] == 503
            assert (
                "the database is away, and waited for: portal.database_url"
                in (tmp_path / "portal.log").read_text()
            )
            come_back()
            await_log(tmp_path / "portal.log", r"dashboard at (http\S+[^/\s])", process)
            assert json.loads(ask(f"{url}/healthz")[1])["status"] == "broker-away"
            assert ask(url)[0] == 200
        finally:
            stop_program(process)


def test_who_waits_for_a_database_ends_at_once_when_told_to(tmp_path):
    port, config = free_port(), tmp_path / "pinhole.toml"
    config.write_text(
        f'[portal]\nport = {port}\nstate_dir = "state"\ndatabase_url = "postgresql:///x?host=/nowhere"\n'
    )
    process = start_program("portal", "portal", config, dict(os.environ))
    try:
        assert until(lambda: ask(f"http://127.0.0.1:{port}/healthz"), process)
        process.terminate()
        process.wait(START_TIMEOUT_S)
    finally:
        stop_program(process)
    assert "Traceback" not in (tmp_path / "portal.log").read_text()
