"""What the command line does with accounts: each act, its refusals, and what the audit log has of it."""

import pytest
from parts.portal import CHEAP, PASSWORD

from agent.config import PortalSettings
from agent.errors import ConfigError
from agent.portal.accounts import desk as desks
from agent.portal.accounts import ledger, users
from agent.portal.accounts.audit_file import AuditFile, read_links
from agent.portal.accounts.chain import Entry
from agent.portal.accounts.codes import new_secret
from agent.portal.accounts.desk import AuditReport, Desk
from agent.portal.accounts.passwords import PasswordError
from agent.portal.accounts.users import AccountError, GrantView, UnknownError
from agent.portal.claims import make_claim
from agent.portal.tables import AuditEntry, OneTimeLink, WebSession

NOW_S = 1_800_000_000.0
BETTER = "lamp-orchid-seventeen"


class Office:
    """A desk over a store, at a time that stands still."""

    def __init__(self, store):
        self.store = store
        self.desk = Desk(store, CHEAP, ["orchidfarm"])

    def notes(self):
        rows = self.store.run_here(lambda db: list(db.query(AuditEntry).order_by(AuditEntry.id)))
        assert {(row.at, row.actor, row.device) for row in rows} <= {(NOW_S, "command line", "")}
        return [(row.action, row.detail) for row in rows]

    def user(self, name="bob"):
        return next(user for user in self.desk.users() if user.name == name)

    def stored(self, name="bob"):
        return self.store.run_here(lambda db: users.find(db, name))

    def refusal(self, call, *arguments, error=AccountError, **options):
        before = self.notes()
        with pytest.raises(error) as caught:
            call(*arguments, **options)
        assert self.notes() == before, "nothing is noted of what did not happen"
        return str(caught.value)


@pytest.fixture
def office(store, monkeypatch):
    monkeypatch.setattr(desks.time, "time", lambda: NOW_S)
    return Office(store)


def test_a_user_gets_a_link_a_password_or_a_company_account(office):
    token = office.desk.add_user("Bob", "viewer")
    assert office.store.run_here(lambda db: users.user_of_link(db, token, NOW_S)).name == "bob"
    [link] = office.store.run_here(lambda db: list(db.query(OneTimeLink)))
    assert link.expires_at == NOW_S + users.LINK_LIFETIME_S
    assert office.desk.add_user("ann", "admin", password=PASSWORD) is None
    assert CHEAP.verify(office.stored("ann").password_hash, PASSWORD)
    assert office.desk.add_user("cy", None, company=True) is None
    states = {u.name: (u.role, u.has_password, u.created_at) for u in office.desk.users()}
    assert states == {
        "ann": ("admin", True, NOW_S),
        "bob": ("viewer", False, NOW_S),
        "cy": (None, False, NOW_S),
    }
    assert [office.stored(name).awaits_company for name in ("ann", "bob", "cy")] == [False, False, True]
    assert office.notes() == [
        ("user-added", "bob viewer"),
        ("user-added", "ann admin"),
        ("user-added", "cy "),
    ]


def test_a_user_watches_what_they_were_added_for(office):
    office.desk.put_group("Yard", ["gate"])
    office.desk.add_user("bob", None, cameras=["front", "back"], groups=["Yard"])
    assert office.user().grants == (
        GrantView("viewer", "front", None),
        GrantView("viewer", "back", None),
        GrantView("viewer", None, "Yard"),
    )


def test_a_wrong_wish_changes_nothing_and_says_what_is_wrong(office):
    assert (
        office.refusal(office.desk.add_user, "bob", "root") == "'root' is no role: viewer, operator or admin."
    )
    with pytest.raises(UnknownError, match="no group 'Roof'"):
        office.desk.add_user("bob", None, groups=["Roof"])
    for password, why in (("bob-bob-bob-bob", "user name"), ("orchidfarm-26", "few words")):
        with pytest.raises(PasswordError, match=why):
            office.desk.add_user("bob", None, password=password)
    assert office.desk.users() == []
    assert office.notes() == []


def test_each_change_is_done_and_noted(office):
    office.desk.add_user("ann", "admin", password=PASSWORD)
    office.desk.add_user("bob", None)
    office.desk.put_group("Yard", ["gate", "barn"])
    before = len(office.notes())
    office.desk.set_role("bob", "operator")
    assert office.user().role == "operator"
    office.desk.set_role("bob", "none")
    assert office.user().role is None
    office.desk.grant("bob", "operator", camera="front", group=None)
    office.desk.grant("bob", "viewer", camera=None, group="Yard")
    assert office.user().grants == (GrantView("operator", "front"), GrantView("viewer", None, "Yard"))
    office.desk.revoke("bob", camera="front", group=None)
    office.desk.revoke("bob", camera=None, group="Yard")
    assert office.user().grants == ()
    office.desk.set_disabled("bob", disabled=True)
    assert office.user().disabled
    office.desk.set_disabled("bob", disabled=False)
    assert not office.user().disabled
    office.desk.set_password("bob", BETTER)
    assert CHEAP.verify(office.stored().password_hash, BETTER)
    office.desk.remove("bob")
    assert [user.name for user in office.desk.users()] == ["ann"]
    office.desk.remove_group("Yard")
    assert office.desk.groups() == {}
    assert office.notes()[before - 1 :] == [
        ("group-set", "Yard: gate, barn"),
        ("user-changed", "bob role operator"),
        ("user-changed", "bob role none"),
        ("user-changed", "bob grant operator of front"),
        ("user-changed", "bob grant viewer of Yard"),
        ("user-changed", "bob revoke front"),
        ("user-changed", "bob revoke Yard"),
        ("user-changed", "bob disabled"),
        ("user-changed", "bob enabled"),
        ("user-changed", "bob password"),
        ("user-changed", "bob removed"),
        ("group-removed", "Yard"),
    ]


def test_what_cannot_be_done_is_refused_in_words_and_not_noted(office):
    office.desk.add_user("ann", "admin", password=PASSWORD)
    office.desk.put_group("Yard", [])
    refusal, desk = office.refusal, office.desk
    assert refusal(desk.set_role, "ann", "root") == "'root' is no role: viewer, operator or admin."
    assert refusal(desk.grant, "ann", "root", camera="a", group=None).startswith("'root' is no role")
    assert refusal(desk.set_role, "bob", "viewer", error=UnknownError) == "There is no user 'bob'."
    assert refusal(desk.revoke, "ann", camera="front", group=None) == "ann has no grant for front."
    assert refusal(desk.revoke, "ann", camera=None, group="Yard") == "ann has no grant for Yard."
    assert "only administrator" in refusal(desk.set_disabled, "ann", disabled=True)
    assert "easy to guess" in refusal(desk.set_password, "ann", "ann-ann-ann-ann", error=PasswordError)
    assert "few words" in refusal(desk.set_password, "ann", "orchidfarm-26", error=PasswordError)


def test_links_are_for_signing_in_or_for_a_new_password(office):
    office.desk.add_user("bob", "viewer", password=PASSWORD)
    office.store.run_here(lambda db: setattr(users.find(db, "bob"), "totp_secret", new_secret()))
    entry = office.desk.entry_link("bob")
    assert office.store.run_here(lambda db: users.take_entry(db, entry, NOW_S)).name == "bob"
    token = office.desk.reset_link("bob", without_code=False)
    assert office.store.run_here(lambda db: users.user_of_link(db, token, NOW_S)).name == "bob"
    assert office.user().has_code
    office.desk.reset_link("bob", without_code=True)
    assert not office.user().has_code
    assert [detail for _, detail in office.notes()[1:]] == [
        "bob sign-in link",
        "bob reset link",
        "bob reset link, without code",
    ]


def test_a_long_list_is_noted_as_far_as_there_is_room(office):
    office.desk.put_group("Yard", [f"camera-{number}" for number in range(100)])
    [(_, detail)] = office.notes()
    assert len(detail) == 400
    assert detail.startswith("Yard: camera-0, camera-1, ")


def test_a_camera_that_nobody_knows_is_named_with_those_that_are(office):
    words = "For one that is still to come, make its claim code first: pinhole portal claim --device ID"
    assert office.refusal(office.desk.check_cameras, ["attic"]) == (
        f"There is no camera attic. There are: none. {words}"
    )
    for name in ("front-door", "back"):
        office.store.run_here(lambda db, name=name: make_claim(db, name, by="ann", now=NOW_S, lifetime_s=60))
    office.desk.check_cameras(["front-door", "back"])
    assert office.refusal(office.desk.check_cameras, ["zzz", "front-dor", "back", "zzz"]) == (
        f"There is no camera front-dor, zzz: did you mean front-door? There are: back, front-door. {words}"
    )
    for number in range(30):
        office.store.run_here(
            lambda db, n=number: make_claim(db, f"cam-{n:02}", by="a", now=NOW_S, lifetime_s=60)
        )
    assert ", cam-17, cam-18. For one" in office.refusal(office.desk.check_cameras, ["zzz"]), "twenty of them"


def test_the_audit_log_is_looked_at_as_a_whole(office, tmp_path):
    file = tmp_path / "audit.jsonl"
    lost = office.refusal(office.desk.verify_audit, file)
    assert lost == f"portal.audit_file {file}: No such file or directory"
    log = AuditFile(file)
    assert office.desk.verify_audit(file) == AuditReport(0, 0, [])
    office.desk.put_group("Yard", [])
    log.write(Entry(NOW_S - 500, "ann", "watch"))
    log.write(Entry(NOW_S, "bob", "watch"))
    log.close()
    report = office.desk.verify_audit(file)
    assert report == AuditReport(1, 2, ["audit.jsonl line 1 is not in the table: ann watch"])
    file.write_text(file.read_text().replace("bob", "eve"))
    office.store.run_here(lambda db: setattr(db.query(AuditEntry).one(), "detail", "x"))
    assert office.desk.verify_audit(file).faults == [
        "entry 1 was changed",
        "audit.jsonl line 2 was changed",
        "audit.jsonl line 1 is not in the table: ann watch",
    ]
    file.write_text(file.read_text().splitlines(keepends=True)[1].replace("eve", "bob"))
    assert office.desk.verify_audit(file).faults == ["entry 1 was changed"], "a chain begins where it begins"


def test_the_accounts_of_a_settings_file_are_opened_and_closed(tmp_path, monkeypatch):
    closed = []
    real = desks.open_store

    def opened(settings):
        store = real(settings)
        monkeypatch.setattr(store, "close", lambda close=store.close: closed.append(close()))
        return store

    monkeypatch.setattr(desks, "open_store", opened)
    settings = PortalSettings(
        database_url=f"sqlite:///{tmp_path}/portal.db",
        public_url="https://orchidfarm.example",
        audit_file=tmp_path / "audit.jsonl",
    )
    with Desk.open(settings) as desk:
        desk.put_group("Yard", [])
        assert desk.groups() == {"Yard": []}
        with pytest.raises(PasswordError, match="few words"):
            desk.add_user("bob", None, password="orchidfarm-26")
        assert closed == []
    assert closed == [None]
    assert [link.entry.action for link in read_links(settings.audit_file)] == ["group-set"]
    with pytest.raises(RuntimeError), Desk.open(settings):
        raise RuntimeError
    assert len(closed) == 2


def test_a_new_password_signs_out_everywhere(office):
    from agent.portal.accounts.sessions import open_session

    office.desk.add_user("bob", None, password=PASSWORD)
    office.store.run_here(lambda db: open_session(db, users.find(db, "bob"), NOW_S))
    office.desk.set_password("bob", BETTER)
    assert office.store.run_here(lambda db: db.query(WebSession).count()) == 0


def test_what_the_command_line_does_with_cameras_is_noted(office):
    from agent.portal.registry import add_device

    office.store.run_here(lambda db: add_device(db, "front", b"k" * 32, by="ann", now=NOW_S))
    for name in (" Front  door ", "Porch"):
        kept = office.desk.rename_camera("front", name)
    assert kept == "Porch"
    codes = office.desk.make_claims(["back", None], lifetime_s=60.0, name="Back door")
    assert len(set(codes)) == 2
    office.desk.revoke_camera("front")
    rows = office.store.run_here(lambda db: list(db.query(AuditEntry).order_by(AuditEntry.id)))
    assert {(row.at, row.actor) for row in rows} == {(NOW_S, "command line")}
    assert [(row.action, row.device, row.detail) for row in rows] == [
        ("renamed", "front", "front is now Front door"),
        ("renamed", "front", "Front door is now Porch"),
        ("claim-made", "back", "Back door"),
        ("claim-made", "", "Back door"),
        ("revoked", "front", ""),
    ]


class Keys:
    """Signing keys."""

    kid = "k1"

    def rotate(self):
        return self

    def retire(self, kid):
        if kid != self.kid:
            raise ConfigError(f"no key {kid}")


def test_the_file_holds_what_the_table_holds_while_a_portal_writes_both(office, tmp_path):
    file = tmp_path / "audit.jsonl"
    portal, desk = AuditFile(file), Desk(office.store, CHEAP, audit_file=file)

    def watches(number):
        entry = Entry(NOW_S + number, "ann", "watch", "front")
        portal.write(entry)
        office.store.run_here(lambda db: ledger.append(db, [entry]))

    watches(1)
    desk.put_group("Yard", ["front"])
    assert desk.rotate_key(Keys()) == "k1"
    watches(2)
    portal.doRollover()
    desk.retire_key(Keys(), "k1")
    with pytest.raises(ConfigError):
        desk.retire_key(Keys(), "k2")
    watches(3)
    links = list(read_links(file))
    assert [link.entry.action for link in links] == [
        "watch", "group-set", "key-made", "watch", "key-retired", "watch",
    ]  # fmt: skip
    rows = office.store.run_here(lambda db: list(db.query(AuditEntry).order_by(AuditEntry.id)))
    assert [ledger.entry_of(row) for row in rows] == [link.entry for link in links]
    assert desk.verify_audit(file).faults == [], "one chain, whoever wrote"
    portal.close()


def test_an_act_is_done_and_told_where_the_file_cannot_be_written(office, tmp_path, caplog):
    file = tmp_path / "audit.jsonl"
    file.mkdir()
    Desk(office.store, CHEAP, audit_file=file).put_group("Yard", [])
    assert office.notes() == [("group-set", "Yard: ")]
    assert "entries are in the table alone: " in caplog.text
