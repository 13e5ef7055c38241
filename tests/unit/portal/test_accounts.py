import stat

import pytest

from agent.errors import ConfigError, PortalError
from agent.portal.accounts import SESSION_LIFETIME_S, SharedPassword, load_or_make_password

NOW = 1_700_000_000.0


@pytest.fixture(scope="module")
def accounts():
    return SharedPassword("open sesame")


def test_the_right_password_gives_a_token_of_its_user(accounts):
    token = accounts.sign_in("open sesame", NOW)
    assert accounts.user_of(token, NOW) == "viewer"


@pytest.mark.parametrize("password", ["", "open sesam", "open sesame ", "OPEN SESAME", "öpen"])
def test_any_other_password_gives_none(accounts, password):
    assert accounts.sign_in(password, NOW) is None


def test_a_token_expires(accounts):
    token = accounts.sign_in("open sesame", NOW)
    assert accounts.user_of(token, NOW + SESSION_LIFETIME_S - 1) == "viewer"
    assert accounts.user_of(token, NOW + SESSION_LIFETIME_S) is None


def test_portals_that_share_the_password_accept_each_others_tokens(accounts):
    token = accounts.sign_in("open sesame", NOW)
    assert SharedPassword("open sesame").user_of(token, NOW) == "viewer"
    assert SharedPassword("another").user_of(token, NOW) is None


def test_every_changed_character_spoils_a_token(accounts):
    token = accounts.sign_in("open sesame", NOW)
    for at in range(len(token)):
        changed = "0" if token[at] != "0" else "1"
        assert accounts.user_of(token[:at] + changed + token[at + 1 :], NOW) is None


@pytest.mark.parametrize(
    "token", ["", ".", "..", "a.b.c", "9999999999.viewer.", "ü.viewer.ü", "\udcff.x.y", "x" * 9000]
)
def test_nonsense_is_no_token(accounts, token):
    assert accounts.user_of(token, NOW) is None


def test_a_password_is_made_once_and_only_its_owner_can_read_it(tmp_path):
    path = tmp_path / "new" / "password"
    made = load_or_make_password(path)
    assert len(made.replace("-", "")) == 16
    assert not set(made) & set("0o1il")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_make_password(path) == made
    assert [entry.name for entry in path.parent.iterdir()] == ["password"]


def test_two_made_passwords_differ(tmp_path):
    assert load_or_make_password(tmp_path / "a") != load_or_make_password(tmp_path / "b")


def test_a_password_of_ones_own_is_taken_without_its_line_end(tmp_path):
    path = tmp_path / "password"
    path.write_text("my own words\n")
    path.chmod(0o600)
    assert load_or_make_password(path) == "my own words"


@pytest.mark.parametrize("content", ["", "\n", "two\nlines\n", "x" * 257, "bell\a"])
def test_an_unusable_password_file_is_named(tmp_path, content):
    path = tmp_path / "password"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises((PortalError, ConfigError), match=str(path)):
        load_or_make_password(path)
    assert path.read_text() == content


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(PortalError, match=r"portal\.password_file"):
        load_or_make_password(tmp_path / "file" / "password")
