"""Write many files and folders at once: each run of a module sends 100 kB, and starts Python anew."""

import glob
import grp
import os
import pwd
import stat
import tempfile
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

LEFT_S = 60.0
"""A temporary file that is older was left by a run that was killed."""
DOCUMENTATION = """
module: pinhole_files
short_description: write many files and folders at once
description:
  - Each is left alone where it is as it should be, and replaced as a whole where it is not.
  - Folders above it that do not exist are made, for everybody to read.
options:
  files:
    description: What to write, in this order.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Where, on the machine.
        type: str
        required: true
      content:
        description: The text of a file; absent for a folder.
        type: str
      mode:
        description: In octal digits. Files are C(0644) and folders C(0755) without it.
        type: str
      owner:
        description: Its user.
        type: str
        default: root
      group:
        description: Its group.
        type: str
        default: root
  tree:
    description: Folder on the control host whose files are written below C(/), executable ones with 0755.
    type: path
author: Pinhole
"""

FILE: dict[str, Any] = {
    "path": {"type": "str", "required": True},
    "content": {"type": "str"},
    "mode": {"type": "str"},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
}


def main() -> None:
    """Read the arguments, and say what was changed."""
    files = {"type": "list", "elements": "dict", "default": [], "options": FILE}
    module = AnsibleModule(argument_spec={"files": files}, supports_check_mode=True)
    diff = []
    for entry in module.params["files"]:
        path, mode = Path(entry["path"]), entry["mode"] or ("0755" if entry["content"] is None else "0644")
        before, after = found(path, entry), as_text(entry["content"], mode, entry["owner"], entry["group"])
        if before == after:
            continue
        diff.append({"before_header": str(path), "after_header": str(path), "before": before, "after": after})
        if not module.check_mode:
            try:
                write(path, entry["content"], int(mode, 8), entry["owner"], entry["group"])
            except (OSError, LookupError, ValueError) as exc:
                module.fail_json(msg=f"{path}: {exc}")
    wanted = {"diff": diff} if module._diff else {}  # noqa: SLF001 - a module's way to know of --diff
    module.exit_json(changed=bool(diff), paths=[one["after_header"] for one in diff], **wanted)


def as_text(content: str | None, mode: str, owner: str, group: str) -> str:
    """What is compared, and shown by --diff."""
    return f"mode {int(mode, 8):04o} {owner}:{group}\n{'' if content is None else content}"


def found(path: Path, entry: dict[str, Any]) -> str:
    """The same of what is there; empty where that is nothing, or of another kind."""
    is_file = entry["content"] is not None
    try:
        status = path.lstat() if is_file else path.stat()  # a folder may be on another disk
        if not (stat.S_ISREG if is_file else stat.S_ISDIR)(status.st_mode):
            return ""
        content = path.read_bytes().decode() if is_file else None
        owner, group = pwd.getpwuid(status.st_uid).pw_name, grp.getgrgid(status.st_gid).gr_name
    except (OSError, LookupError, ValueError):
        return ""
    return as_text(content, f"{stat.S_IMODE(status.st_mode):o}", owner, group)


def write(path: Path, content: str | None, mode: int, owner: str, group: str) -> None:
    """Beside, and renamed: nobody sees half of it, nor what only its owner may read."""
    uid, gid = pwd.getpwnam(owner).pw_uid, grp.getgrnam(group).gr_gid
    if content is None:
        path.mkdir(parents=True, exist_ok=True)
        os.chown(path, uid, gid)
        path.chmod(mode)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{glob.escape(path.name)}.????????.pinhole-part"):
        if time.time() - left.stat().st_mtime > LEFT_S:
            left.unlink()
    handle, part = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".pinhole-part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode())
            os.fchown(file.fileno(), uid, gid)
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        Path(part).replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


if __name__ == "__main__":
    main()
