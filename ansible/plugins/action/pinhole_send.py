"""Send a release to a machine: the files that it lacks, and nothing else, not even a module of Ansible's."""

DOCUMENTATION = """
name: pinhole_send
short_description: send a signed release of Pinhole to a machine that the role C(release) has set up
description:
  - Pipes parcels into C(pinhole-release receive), over Ansible's own connection and with its C(become).
  - A parcel has a few files, so that what arrived before a link broke is not sent again.
options:
  release:
    description: Folder on the control host that C(scripts/release) made.
    type: path
    required: true
"""

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail

from ansible.plugins.action import ActionBase

RECEIVE = "/usr/local/sbin/pinhole-release receive"
PARCEL_BYTES = 4 * 1024 * 1024
"""Where a parcel ends; a file that is larger is one by itself."""
USAGE = 2
"""How argparse ends where it does not know a command."""
OLD = "its pinhole-release is older than this way to update it: run site.yml for this machine once"


class ActionModule(ActionBase):
    """See DOCUMENTATION."""

    _VALID_ARGS = frozenset({"release"})
    _supports_check_mode = False

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Ask with the manifest what is lacking, and send that."""
        result = dict(super().run(tmp, task_vars))
        release = Path(self._task.args["release"])
        files: dict[str, Any] = json.loads((release / "manifest.json").read_text())["files"]
        lacking = self._send([release / "manifest.json", release / "manifest.json.sig"])
        sizes = {name: int(files[name]["size"]) for name in lacking}
        if sizes:
            machine = task_vars["inventory_hostname"]
            self._display.display(f"{machine}: {len(sizes)} files of {sum(sizes.values())} bytes to send")
        for names in parcels(sizes):
            lacking = self._send([release / "files" / name for name in names])
        if lacking:
            raise AnsibleActionFail(f"it says that it still lacks {', '.join(lacking)}")
        return result | {"changed": bool(sizes), "bytes": sum(sizes.values()), "files": sorted(sizes)}

    def _send(self, files: list[Path]) -> list[str]:
        """What is lacking after that. The connection says itself where the machine is gone."""
        parcel = io.BytesIO()
        with tarfile.open(fileobj=parcel, mode="w") as tar:
            for file in files:
                tar.add(file, file.name)
        done = self._low_level_execute_command(RECEIVE, in_data=parcel.getvalue())
        if done["rc"]:
            words = OLD if done["rc"] == USAGE else done["stderr"].strip()
            raise AnsibleActionFail(words or f"{RECEIVE} ended with {done['rc']}")
        return list(json.loads(done["stdout"])["missing"])


def parcels(sizes: dict[str, int]) -> Iterator[list[str]]:
    """The names in groups, small files first."""
    names: list[str] = []
    for name in sorted(sizes, key=sizes.__getitem__):
        if names and sum(sizes[one] for one in names) + sizes[name] > PARCEL_BYTES:
            yield names
            names = []
        names.append(name)
    if names:
        yield names
