"""Releases to roll out: this tree under any version, and spoilt on purpose."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CRASHES = (
    "agent/app.py",
    "async def run_agent(",
    "raise SystemExit('spoilt: ends at start')\n\n\nasync def run_agent(",
)
"""Where it is put, only `pinhole run` imports it: the settings' check still passes."""
BLIND = (
    "agent/camera/synthetic.py",
    "on_unit(stream, unit)",
    "del stream, unit",
)
Spoil = tuple[str, str, str]


def make_key(folder: Path, name: str = "release-key") -> Path:
    """A signing key of the test's own."""
    key = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", key], check=True)
    return key


def build(folder: Path, version: str, key: Path, *targets: str, spoil: Spoil | None = None) -> Path:
    """The release's folder, as scripts/release makes it, from a copy of this tree."""
    tree = folder / f"tree-{version}"
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "agent", "ansible",
         "firmware-config", "pyproject.toml", "README.md", "release"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    for name in names:
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tree / name)
    project = tree / "pyproject.toml"
    project.write_text(
        re.sub(r'^version = ".*"', f'version = "{version}"', project.read_text(), flags=re.MULTILINE)
    )
    if spoil:
        file, old, new = spoil
        text = (tree / file).read_text()
        assert text.count(old) >= 1, f"{file} no longer has {old!r}"
        (tree / file).write_text(text.replace(old, new, 1))
    out = folder / f"release-{version}"
    subprocess.run(
        [sys.executable, tree / "ansible/bundle.py", "--key", key, "--out", out,
         *(word for target in targets for word in ("--target", target))],
        check=True, env=os.environ, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    shutil.rmtree(tree)
    return out
