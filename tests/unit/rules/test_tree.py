"""The project's own rules about its files."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "agent"
ROOMS = {"camera", "control", "device", "media", "rtc", "signaling", "portal", "watch"}
FOLDERS = {".ci", "agent", "ansible", "firmware-config", "scripts", "tests"}
MAX_LINES = 400
LONG_MODULES = {
    "cli.py": "each command is its arguments and its help",
    "config/settings.py": "one table of every setting",
    "signaling/broker.py": "one module owns aiomqtt and paho",
    "portal/gateway.py": "who is connected, and every session between both ends, are one state",
}
"""Modules that may be longer, and why."""
VAGUE = {"utils", "util", "helpers", "helper", "manager", "common", "misc", "base"}

FOREIGN = {
    "picamera2": "camera/picamera.py",
    "libcamera": "camera/picamera.py",
    "aiomqtt": "signaling/broker.py",
    "paho": "signaling/",
    "aiortc": ("rtc/", "watch/peer.py"),
    "aioice": "rtc/",
    "pylibsrtp": "rtc/",
    "amqtt": "demo/broker.py",
    "typer": ("cli.py", "cli_portal.py", "cli_devices.py"),
    "sqlalchemy": "portal/",
    "alembic": "portal/",
    "argon2": ("portal/accounts/passwords.py", "portal/accounts/desk.py"),
    "pyotp": "portal/accounts/codes.py",
    "segno": "portal/accounts/codes.py",
    "zxcvbn_rs_py": "portal/accounts/strength.py",
    "authlib": "portal/accounts/company.py",
    "httpx2": "portal/accounts/company.py",
    "joserfc": ("signaling/trust.py", "portal/accounts/"),
    "cryptography": ("signaling/trust.py", "portal/"),
}
"""Where each foreign library may be imported: a file, a folder (with /), or several."""


def tracked(*patterns: str) -> list[Path]:
    """Files that git knows or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imports(file: Path) -> set[str]:
    """Every module that a file imports, at its top or in a function."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def layer(module: str) -> str:
    """`agent.rtc.peer` is in `rtc`; `agent.app` is `app`; `agent.__version__` is the package itself."""
    part = module.split(".")[1]
    return "agent" if part.startswith("__") and part != "__main__" else part


ALLOWED = {
    "__main__": {"cli"},
    "cli": {
        "app",
        "server",
        "cli_portal",
        "cli_devices",
        "demo",
        "doctor",
        "watch",
        "config",
        "errors",
        "model",
    },
    "cli_devices": {"server", "portal", "signaling", "config", "errors", "model"},
    "cli_portal": {"portal", "config", "errors", "model"},
    "app": ROOMS | {"doctor", "config", "errors", "model"},
    "server": {"portal", "signaling", "config", "errors", "model"},
    "demo": {"portal", "signaling", "config", "errors", "model"},
    "doctor": ROOMS | {"config", "errors", "model"},
    "config": {"errors", "model"},
    "model": {"errors"},
    "errors": set(),
    "agent": set(),
} | {room: {"config", "errors", "model"} for room in ROOMS}


@pytest.mark.parametrize("file", modules(), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_go_one_way(file):
    own = file.relative_to(PACKAGE).with_suffix("").parts[0]
    own = "agent" if own == "__init__" else own
    assert own in ALLOWED, f"{file.name}: say in ALLOWED what this part may import"
    for module in imports(file):
        if module.startswith("agent."):
            target = layer(module)
            assert target in ALLOWED[own] | {own, "agent"}, f"{own} must not import {module}"


@pytest.mark.parametrize("library", FOREIGN)
def test_each_foreign_library_has_its_place(library):
    allowed = FOREIGN[library]
    for file in modules():
        name = str(file.relative_to(PACKAGE))
        if any(module.split(".")[0] == library for module in imports(file)):
            assert name.startswith(allowed), f"{name} must not import {library}"


def test_a_device_needs_nothing_that_only_the_portal_needs():
    portal_only = ["alembic", "argon2", "authlib", "httpx", "pyotp", "segno", "sqlalchemy", "zxcvbn_rs_py"]
    code = f"import sys, agent.app; print(*(name for name in {portal_only} if name in sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert loaded.stdout.split() == []


def test_watch_uses_public_names_of_aiortc_alone():
    for node in ast.walk(ast.parse((PACKAGE / "watch" / "peer.py").read_text())):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            assert isinstance(node.value, ast.Name), f"line {node.lineno}: {node.attr}"
            assert node.value.id == "self", f"line {node.lineno}: {node.value.id}.{node.attr}"


def test_modules_are_short():
    long = {
        str(f.relative_to(PACKAGE)): n
        for f in modules()
        if (n := len(f.read_text().splitlines())) > MAX_LINES
    }
    assert set(long) == set(LONG_MODULES), f"split them, or say in LONG_MODULES why not: {long}"


def test_modules_have_names_that_say_something():
    assert not [str(file) for file in modules() if file.stem in VAGUE or file.parent.name in VAGUE]


def test_test_modules_have_names_of_their_own():
    names = [file.name for file in tracked("tests/**/test_*.py")]
    assert not {name for name in names if names.count(name) > 1}
    packages = tracked("tests/**/__init__.py")
    assert all(file.is_relative_to(ROOT / "tests" / "fakes") for file in packages), "fakes may be packages"


def test_the_top_level_holds_what_is_known():
    assert {file.relative_to(ROOT).parts[0] for file in tracked() if file.parent != ROOT} <= FOLDERS


def test_no_file_names_a_package_index():
    # Any mirror serves the locked hashes; a name here would bypass the one that a machine is set to.
    index = re.compile("|".join((r"py" + r"pi\.org", r"python" + r"hosted\.org", r"index" + r"-url")))
    for file in tracked():
        assert not index.search(file.read_bytes().decode(errors="replace")), file


def test_relative_links_lead_somewhere():
    for readme in tracked("*.md", "**/*.md"):
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", readme.read_text()):
            assert (readme.parent / target).exists(), f"{readme}: {target}"
