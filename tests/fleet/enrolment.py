"""Makes devices known to a portal, and the portal to them, over ssh and without claim codes."""

import base64
from pathlib import Path

from fleet.lab import Lab
from pydantic import TypeAdapter

from agent.model.keys import KeySet, encode_public
from agent.signaling.identity import load_or_make_key
from agent.signaling.signing import SigningFolder

KEYS = """
import sys, time
from pathlib import Path
from pydantic import TypeAdapter
from agent.config import load
from agent.model.keys import KeySet, decode_public
from agent.portal.registry import add_device
from agent.portal.store import open_store
from agent.signaling.signing import SigningFolder
portal = load(Path("/etc/pinhole/portal/portal.toml")).portal
store = open_store(portal)
for word in sys.argv[1:]:
    device, _, key = word.partition("=")
    store.run_here(lambda db: add_device(db, device, decode_public(key), by="test", now=time.time()))
store.close()
print(TypeAdapter(KeySet).dump_json(SigningFolder(portal.state_dir).key_set()).decode())
"""


def enrol(lab: Lab, devices: list[str], folder: Path, portal: str | None = None) -> None:
    """Put keys where agents look; without a portal, those of one that nobody runs."""
    keys = {device: load_or_make_key(folder / f"state-{device}") for device in devices}
    if portal is None:
        portal_keys = TypeAdapter(KeySet).dump_json(SigningFolder(folder / "portal").key_set()).decode()
    else:
        words = " ".join(f"{device}={encode_public(key.public)}" for device, key in keys.items())
        program = base64.b64encode(KEYS.encode()).decode()
        portal_keys = lab.ssh(
            portal,
            f"cd /var/lib/pinhole-portal && echo {program} | base64 -d | runuser -u pinhole-portal -- "
            f"/opt/pinhole/current/bin/python - {words}",
            timeout_s=120,
        ).strip()
    for device in devices:
        key_file = next((folder / f"state-{device}").iterdir())
        files = {key_file.name: key_file.read_bytes(), "portal-keys.json": portal_keys.encode()}
        commands = [
            "id -u pinhole >/dev/null 2>&1 || useradd --system --user-group --no-create-home pinhole",
            "install -d -o pinhole -g pinhole -m 700 /var/lib/pinhole",
        ]
        for name, data in files.items():
            target = f"/var/lib/pinhole/{name}"
            commands.append(
                f"echo {base64.b64encode(data).decode()} | base64 -d >{target} && "
                f"chown pinhole: {target} && chmod 600 {target}"
            )
        lab.ssh(device, " && ".join(f"{{ {command}; }}" for command in commands))
