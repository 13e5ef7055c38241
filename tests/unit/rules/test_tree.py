"""The project's own rules about its files."""

import ast
import re
import subprocess
import sys
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "agent"
ROOMS = {
    "camera", "client", "control", "device", "media", "motion", "mqtt", "portal", "record", "rtc", "serial",
    "signaling", "upload",
}  # fmt: skip
FOLDERS = {".ci", "agent", "ansible", "firmware-config", "release", "scripts", "tests"}
MAX_LINES = 400
LONG_MODULES = {
    "app.py": "one file of wiring",
    "config/settings.py": "one table of every setting",
    "mqtt/broker.py": "one module owns aiomqtt and paho",
}
"""Modules that may be longer, and why."""
VAGUE = {"utils", "util", "helpers", "helper", "manager", "common", "misc", "base"}

FROM_APT = {"picamera2", "libcamera"}
"""No index has them: they come with a Pi's own packages."""
EXTRAS = {"ai_edge_litert"}
"""Installed by who wants them: no release has them."""
ANYWHERE = ""
FOREIGN = {
    "ai_edge_litert": "motion/litert.py",
    "aiohttp": (
        "portal/",
        "client/session.py",
        "signaling/enrolment.py",
        "doctor/portal.py",
        "demo/supervisor.py",
    ),
    "aiobotocore": "portal/upload/bucket.py",
    "aioice": "rtc/",
    "aiomqtt": "mqtt/broker.py",
    "aiortc": ("rtc/", "client/peer.py"),
    "aiosmtplib": "portal/notify/mail.py",
    "alembic": ("portal/store.py", "portal/migrations/"),
    "apprise": "portal/notify/services.py",
    "amqtt": "demo/broker.py",
    "argon2": ("portal/accounts/passwords.py", "portal/accounts/desk.py"),
    "authlib": "portal/accounts/company.py",
    "av": ("camera/", "client/", "record/"),
    "botocore": "portal/upload/bucket.py",
    "cryptography": (
        "signaling/trust.py",
        "portal/authority.py",
        "portal/accounts/seal.py",
        "portal/notify/push_key.py",
        "portal/notify/webpush.py",
    ),
    "dbus_fast": "serial/modem/bus.py",
    "httpx2": "portal/accounts/company.py",
    "ifaddr": "rtc/interfaces.py",
    "joserfc": ("signaling/trust.py", "portal/accounts/company.py", "portal/notify/push_key.py"),
    "libcamera": "camera/picamera.py",
    "OpenSSL": "rtc/transport.py",
    "paho": "mqtt/broker.py",
    "picamera2": "camera/picamera.py",
    "prometheus_client": "portal/metrics.py",
    "pydantic": ANYWHERE,
    "pydantic_core": ("config/", "signaling/messages.py"),
    "pylibsrtp": ("rtc/transport.py", "rtc/seams.py"),
    "pyotp": "portal/accounts/codes.py",
    "rich": ("cli/", "demo/", "doctor/screen.py", "client/"),
    "segno": "portal/accounts/codes.py",
    "serial": "serial/port.py",
    "sqlalchemy": "portal/",
    "typer": "cli/",
    "webauthn": "portal/accounts/relying_party.py",
    "zxcvbn_rs_py": "portal/accounts/strength.py",
}
"""Where each foreign library may be imported: the file that owns it, a folder (with /), or several."""
LOCKED_NAME = re.compile(r"^([a-z0-9-]+)==", re.MULTILINE)


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


def release_tool() -> list[Path]:
    return sorted((ROOT / "release").glob("*.py"))


@cache
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


def foreign(file: Path) -> set[str]:
    """The libraries that a file imports and that are neither ours nor Python's."""
    return {module.split(".")[0] for module in imports(file)} - {"agent"} - sys.stdlib_module_names


@cache
def distributions() -> dict[str, set[str]]:
    """What is installed: the distributions that a module to import comes from, named as in a lock."""
    return {
        module: {re.sub(r"[-_.]+", "-", name).lower() for name in names}
        for module, names in packages_distributions().items()
    }


def locked(lock: str) -> set[str]:
    """The distributions that a lock holds."""
    return set(LOCKED_NAME.findall((ROOT / lock).read_text()))


def layer(module: str) -> str:
    """`agent.rtc.peer` is in `rtc`; `agent.app` is `app`; `agent.__version__` is the package itself."""
    part = module.split(".")[1]
    return "agent" if part.startswith("__") and part != "__main__" else part


ALLOWED = {
    "__main__": {"cli"},
    "cli": {
        "app",
        "server",
        "portal",
        "signaling",
        "demo",
        "doctor",
        "client",
        "config",
        "errors",
        "model",
    },
    "attention": {"motion", "camera", "device", "config", "errors", "model"},
    "app": ROOMS
    | {
        "attention",
        "doctor",
        "pictures",
        "recordings",
        "serial_devices",
        "uploads",
        "config",
        "errors",
        "model",
    },
    "recordings": {"camera", "control", "device", "media", "pictures", "record", "config", "errors", "model"},
    "pictures": {"camera", "device", "media", "record", "config", "errors", "model"},
    "serial_devices": (ROOMS - {"portal", "client", "camera", "media"}) | {"config", "errors", "model"},
    "uploads": {
        "control",
        "device",
        "record",
        "recordings",
        "rtc",
        "upload",
        "config",
        "errors",
        "model",
    },
    "server": {"portal", "mqtt", "signaling", "config", "errors", "model"},
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


@pytest.mark.parametrize("file", modules(), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_foreign_libraries_are_imported_in_their_places(file):
    name = str(file.relative_to(PACKAGE))
    for library in foreign(file):
        assert library in FOREIGN, f"{name} imports {library}: say in FOREIGN which file owns it"
        assert name.startswith(FOREIGN[library]), f"{name} must not import {library}"


def test_places_are_kept_for_libraries_that_are_used_alone():
    assert set(FOREIGN) == set().union(*map(foreign, modules()))


@pytest.mark.parametrize("library", sorted(FOREIGN.keys() - FROM_APT))
def test_what_is_imported_is_locked(library):
    lock = "tests/requirements.lock" if library in EXTRAS else "requirements.lock"
    assert distributions()[library] & locked(lock), f"{library}: run scripts/lock"


@cache
def loaded_by_the_agent() -> set[str]:
    """What `pinhole run` imports: the command line, and the agent with all its rooms."""
    said = subprocess.run(
        [sys.executable, "-c", "import sys, agent.cli, agent.app; print(*sys.modules)"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert {"agent.cli", "agent.app", "agent.mqtt.broker"} <= set(said)
    return set(said)


def test_the_running_agent_loads_nothing_of_the_other_programs():
    others = re.compile(
        r"agent\.(portal|client|server|demo|doctor\.(wiring|screen)|serial)(\.|$)|(aiohttp|rich|serial|dns\.resolver)(\.|$)"
    )
    assert sorted(filter(others.match, loaded_by_the_agent())) == []


def test_a_device_needs_nothing_that_only_the_portal_needs():
    extra = locked("ansible/portal.lock") - locked("ansible/device.lock")
    portal_only = {module for module, names in distributions().items() if names & extra}
    assert {"sqlalchemy", "httpx2", "argon2"} <= portal_only, "the locks were read"
    assert not portal_only & loaded_by_the_agent()


def test_watch_uses_public_names_of_aiortc_alone():
    for node in ast.walk(ast.parse((PACKAGE / "client" / "peer.py").read_text())):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            assert isinstance(node.value, ast.Name), f"line {node.lineno}: {node.attr}"
            assert node.value.id == "self", f"line {node.lineno}: {node.value.id}.{node.attr}"


@pytest.mark.parametrize("file", release_tool(), ids=lambda file: file.name)
def test_the_release_tool_needs_nothing_but_python(file):
    """It works where an environment of ours is what is broken."""
    assert foreign(file) <= {"release"}
    assert not [module for module in imports(file) if module.startswith("agent")]


def test_modules_are_short():
    long = {
        str(f.relative_to(PACKAGE if f.is_relative_to(PACKAGE) else ROOT)): n
        for f in modules() + release_tool()
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


def test_no_exception_is_made_once_and_raised_again_and_again():
    """One that is kept holds every frame that it was ever raised through, and what stood in it."""
    assert [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in PACKAGE.rglob("*.py")
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and isinstance(node.value, ast.Call)
        and ast.unparse(node.value.func).endswith(("Error", "Exception"))
    ] == []


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
