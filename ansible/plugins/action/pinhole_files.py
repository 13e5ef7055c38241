"""The control host's part of the module pinhole_files: read a folder that is here."""

from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """See the module's DOCUMENTATION."""

    _VALID_ARGS = frozenset({"files", "tree"})

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Send everything in one go."""
        result = dict(super().run(tmp, task_vars))
        files = list(self._task.args.get("files", []))
        if tree := self._task.args.get("tree"):
            files += in_tree(Path(tree))
        done = self._execute_module(
            module_name="pinhole_files", module_args={"files": files}, task_vars=task_vars
        )
        return result | dict(done)


def in_tree(tree: Path) -> list[dict[str, str]]:
    """Its files, by their places below /."""
    return [
        {
            "path": f"/{file.relative_to(tree)}",
            "content": file.read_bytes().decode(),
            "mode": "0755" if file.stat().st_mode & 0o100 else "0644",
        }
        for file in sorted(tree.rglob("*"))
        if file.is_file()
    ]
