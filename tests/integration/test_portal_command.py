"""`pinhole portal` as people start it: the first link, users from the terminal, the log of it."""

import contextlib
import json
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path

import aiohttp
import pytest

from agent.config import load
from agent.portal.accounts import audit, passkeys, users
from agent.portal.accounts.audit_file import read_links
from agent.portal.accounts.relying_party import NewPasskey
from agent.portal.store import open_store

ROOT = Path(__file__).parents[2]
PASSWORD = "a-better-password"
A_LINK = "/#/welcome/"


@pytest.fixture
def config(tmp_path):
    """Settings of a portal whose broker is away: nothing here needs it."""
    file = tmp_path / "pinhole.toml"
    file.write_text('[broker]\nurl = "mqtt://127.0.0.1:9"\n[portal]\nport = 0\n')
    return file


def pinhole(*words, config):
    return subprocess.run(
        [sys.executable, "-m", "agent", "portal", *words, "-c", str(config)],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def good(*words, config):
    done = pinhole(*words, config=config)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def running(config, says="dashboard at"):
    """The portal's process and what it says, once it serves and has said this."""
    log = config.with_name("log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "agent", "portal", "--config", str(config)],
            cwd=ROOT, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        deadline_s = time.monotonic() + 30
        while says not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline_s, log.read_text()
            time.sleep(0.05)
        yield process, log
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0, log.read_text()


def first_link(log):
    """The portal's address, and the token."""
    return re.search(r"password at (http\S+)/#/welcome/(\S+)\n", log.read_text()).groups()


def client():
    return aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))


async def test_the_first_start_prints_a_link_that_makes_the_administrator(config):
    with running(config, says=A_LINK) as (_, log):
        url, link = first_link(log)
        async with client() as http:
            body = {"token": link, "password": PASSWORD}
            answer = await http.post(f"{url}/api/welcome", json=body)
            assert await answer.json() == {
                "user": "admin",
                "admin": True,
                "operator": True,
                "manages": True,
                "second_factor_needed": False,
            }
    with running(config) as (_, log):
        pass
    assert "/#/welcome/" not in log.read_text(), "somebody can sign in: no link any more"
    acts = [
        json.loads(line)["action"] for line in config.with_name("portal-audit.jsonl").read_text().splitlines()
    ]
    assert acts == ["password-set"]


async def test_a_second_portal_without_a_port_leaves_the_first_ones_link_good(config):
    with running(config, says=A_LINK) as (_, log):
        url, link = first_link(log)
        text = config.read_text().replace("port = 0", f"port = {url.rpartition(':')[2]}")
        config.with_name("second.toml").write_text(text)
        second = pinhole(config=config.with_name("second.toml"))
        assert second.returncode == 1
        assert "cannot listen: address already in use" in second.stderr.lower()
        assert "/#/welcome/" not in second.stderr
        async with client() as http:
            answer = await http.post(f"{url}/api/welcome/look", json={"token": link})
            assert await answer.json() == {"user": "admin"}


async def test_users_are_managed_from_the_terminal_while_the_portal_runs(config, tmp_path):
    secret = tmp_path / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o600)
    assert "added ann" in good(
        "user", "add", "ann", "--role", "viewer", "--password-file", str(secret), config=config
    )
    with running(config) as (_, log):
        url = re.search(r"dashboard at (\S+)", log.read_text())[1]
        async with client() as http:
            login = {"user": "ann", "password": PASSWORD}
            assert (await http.post(f"{url}/api/login", json=login)).status == 200
            async with http.ws_connect(f"{url}/api/ws") as socket:
                assert (await socket.receive_json(timeout=60))["user"] == "ann"
                good("user", "disable", "ann", config=config)
                assert (await socket.receive(timeout=60)).type is aiohttp.WSMsgType.CLOSE
        good("user", "enable", "ann", config=config)
        for camera in ("front", "gate", "barn"):
            good("claim", "--device", camera, config=config)
        good("group", "set", "Yard", "gate", "barn", config=config)
        good("user", "grant", "ann", "operator", "--group", "Yard", config=config)
        link = good("user", "add", "bob", "--camera", "front", config=config)
        assert re.search(r"/#/welcome/[\w-]{43}$", link.strip())
        [ann, bob] = json.loads(good("user", "list", "--json", config=config))
        assert ann["grants"] == [{"role": "operator", "camera": None, "group": "Yard"}]
        assert bob["grants"] == [{"role": "viewer", "camera": "front", "group": None}]
        assert "operator of group Yard" in good("user", "list", config=config)
        good("keys", "rotate", config=config)
    settings = load(config).portal
    store = open_store(settings)
    table = store.run_here(lambda db: [entry for _, entry in audit.entries(db, audit.Filter())])
    store.close()
    filed = [link.entry for link in read_links(settings.audit_file)]
    assert sorted(map(astuple, table)) == sorted(map(astuple, filed)), "whoever wrote it"
    done = [(entry.actor, entry.action) for entry in filed]
    assert ("ann", "sign-in") in done
    told = [action for actor, action in done if actor == "command line"]
    assert told == [
        "user-added", "user-changed", "user-changed", *["claim-made"] * 3, "group-set", "user-changed",
        "user-added", "key-made",
    ]  # fmt: skip
    assert "they hold together" in good("audit", "verify", config=config)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["user", "role", "nobody", "viewer"], "There is no user 'nobody'"),
        (["user", "add", "ann", "--role", "king"], "'king' is no role: viewer, operator or admin"),
        (["user", "add", "a b"], "A user name has letters"),
        (["user", "add", "ann", "--group", "Nowhere"], "There is no group 'Nowhere'"),
        (["user", "passwd", "ann"], "--password-file FILE"),
        (
            ["user", "add", "ann", "--camera", "fornt"],
            "no camera fornt: did you mean front? There are: front.",
        ),
        (["user", "grant", "ann", "viewer", "--camera", "nosuch"], "no camera nosuch. There are: front."),
        (["group", "set", "Yard", "front", "nosuch"], "no camera nosuch."),
    ],
)
def test_what_cannot_be_done_is_told_in_words_and_changes_nothing(config, words, says):
    good("claim", "--device", "front", config=config)
    done = pinhole(*words, config=config)
    assert done.returncode == 1
    assert says in " ".join(done.stderr.split())
    assert json.loads(good("user", "list", "--json", config=config)) == []


def test_lost_passkeys_are_listed_and_removed_from_the_terminal(config, tmp_path):
    secret = tmp_path / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o600)
    good("user", "add", "ann", "--password-file", str(secret), config=config)
    assert good("user", "passkeys", "ann", config=config) == "ann has no passkey\n"
    with contextlib.closing(open_store(load(config).portal)) as store:
        for name in (b"Phone", b"Key", b"Laptop"):
            new = NewPasskey(name, b"a public key", 0, "")
            called = name.decode()
            store.run_here(
                lambda db, new=new, called=called: passkeys.add(db, users.find(db, "ann"), called, new, 1e9)
            )
    listed = good("user", "passkeys", "ann", config=config).splitlines()
    assert [line.split() for line in listed[1:]] == [
        ["1", "Phone", "2001-09-09", "never"],
        ["2", "Key", "2001-09-09", "never"],
        ["3", "Laptop", "2001-09-09", "never"],
    ]
    assert "password, 3 passkeys" in good("user", "list", config=config)
    assert good("user", "passkeys", "ann", "--remove", "2", config=config) == "ann: removed Key\n"
    refused = pinhole("user", "passkeys", "ann", "--remove", "2", config=config)
    assert (refused.returncode, "has no such passkey" in refused.stderr) == (1, True)
    assert good("user", "passkeys", "ann", "--remove-all", config=config) == "ann: 2 removed\n"
    assert good("user", "passkeys", "ann", config=config) == "ann has no passkey\n"
    [ann] = json.loads(good("user", "list", "--json", config=config))
    assert ann["passkeys"] == 0
