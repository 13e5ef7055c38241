import json
import re

import pytest

from agent.errors import PortalError
from agent.portal.assets import WEB, load_assets


def page():
    return (WEB / "index.html").read_text()


def test_every_file_that_the_page_names_is_served():
    assets = load_assets()
    names = re.findall(rb"static/([0-9a-f]{16})/([a-z.-]+)", assets.page.body)
    assert names
    for version, name in names:
        assert version.decode() == assets.version
        assert name.decode() in assets.files


def test_every_module_is_loaded_ahead_so_that_imports_cost_no_round_trips():
    named = set(re.findall(r"static/current/([a-z-]+\.js)", page()))
    assert named == {path.name for path in WEB.glob("*.js")}


def test_what_has_an_address_that_stays_is_there_and_no_module_is_among_it():
    fixed = load_assets().fixed
    manifest = json.loads(fixed["manifest.webmanifest"].body)
    assert {icon["src"] for icon in manifest["icons"]} <= fixed.keys()
    named = set(re.findall(r'(?:rel="manifest"|rel="apple-touch-icon") href="([a-z0-9.-]+)"', page()))
    assert named == {"manifest.webmanifest", "icon-180.png"}
    worker = fixed["sw.js"].body.decode()
    assert set(re.findall(r'"(icon-[a-z0-9]+\.png)"', worker)) <= fixed.keys()
    assert named <= fixed.keys()


def test_modules_import_only_each_other():
    for path in WEB.glob("*.js"):
        for name in re.findall(r'from "([^"]+)"', path.read_text()):
            assert name.startswith("./")
            assert (WEB / name).is_file(), f"{path.name} imports {name}"


def test_what_comes_from_outside_cannot_become_markup():
    for path in WEB.glob("*.js"):
        text = path.read_text()
        assert not re.search(r"\.(inner|outer)HTML|insertAdjacentHTML|document\.write|\beval\(", text), (
            path.name
        )


def test_passwords_are_masked_and_left_to_password_managers():
    texts = {path.name: path.read_text() for path in WEB.glob("*.js")}
    named = re.findall(r'passwordField = |field\([^)]*type: "password"[^)]*', "".join(texts.values()))
    assert len(named) == 1, "every password is asked for in one way"
    assert "autocomplete: isNew" in named[0]
    for name, text in texts.items():
        assert not re.search(r'onpaste|"paste"', text), f"{name} keeps nobody from pasting"


def test_the_page_keeps_its_own_content_security_policy():
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|https?://", page())


def test_what_lights_up_under_a_mouse_does_not_stay_lit_after_a_tap():
    for path in WEB.glob("*.css"):
        text = path.read_text()
        by_mouse = re.sub(r"@media \(hover: hover\)[^{]*\{(?:[^{}]*\{[^{}]*\})*[^{}]*\}", "", text)
        assert ":hover" not in by_mouse, path.name


def test_every_icon_that_is_used_exists():
    symbols = set(re.findall(r'id="icon-([a-z-]+)"', page()))
    used = set()
    for path in WEB.glob("*.js"):
        used |= set(re.findall(r'\bicon(?:Button)?\("([a-z-]+)"', path.read_text()))
    assert used
    assert used <= symbols


def test_a_changed_file_changes_the_version(tmp_path):
    (tmp_path / "index.html").write_text('<script src="static/current/app.js"></script>')
    (tmp_path / "app.js").write_text("one")
    first = load_assets(tmp_path)
    (tmp_path / "app.js").write_text("two")
    assert load_assets(tmp_path).version != first.version


def test_a_missing_dashboard_is_an_error(tmp_path):
    with pytest.raises(PortalError, match=r"index\.html is missing"):
        load_assets(tmp_path)
