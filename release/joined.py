"""Makes one file of this package: what is on a machine is read, replaced and rolled back as one.

python release/joined.py    # prints it
"""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

HERE = Path(__file__).parent
MAIN = "command"
"""The module that is run; all that it needs comes before it."""


def join() -> str:
    """The program's text. Raises ValueError where two modules have a name in common."""
    modules = {name: ast.parse((HERE / f"{name}.py").read_text()) for name in _order()}
    imports: set[str] = set()
    defined: dict[str, str] = {}
    parts = []
    for name, tree in modules.items():
        for node in tree.body:
            for one in _defined(node):
                if defined.setdefault(one, name) != name:
                    raise ValueError(f"{one} is in {defined[one]} and in {name}")
            if isinstance(node, ast.Import):
                imports |= {f"import {alias.name}" for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not _own(node):
                imports |= {f"from {node.module} import {alias.name}" for alias in node.names}
        parts.append(_rest(name, tree))
    head = f'#!/usr/bin/python3\n"""{_doc("__init__")}"""\n\n# Made of release/*.py by release/joined.py.\n\n'
    return head + "\n".join(sorted(imports)) + "\n" + "".join(parts)


def _order() -> list[str]:
    needed: dict[str, set[str]] = {}
    wanted = [MAIN]
    while wanted:
        name = wanted.pop()
        if name not in needed:
            needed[name] = set(filter(None, map(_own, ast.parse((HERE / f"{name}.py").read_text()).body)))
            wanted += needed[name]
    return list(TopologicalSorter({name: sorted(needed[name]) for name in sorted(needed)}).static_order())


def _own(node: ast.stmt) -> str:
    """The module of this package that is imported from."""
    if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("release."):
        return node.module.removeprefix("release.")
    return ""


def _defined(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom) and any(alias.asname for alias in node.names):
        raise ValueError(
            f"line {node.lineno}: the one file has no room for another name: {ast.unparse(node)}"
        )
    if isinstance(node, ast.AnnAssign):
        return [ast.unparse(node.target)]
    targets = node.targets if isinstance(node, ast.Assign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _doc(name: str) -> str:
    return ast.get_docstring(ast.parse((HERE / f"{name}.py").read_text()), clean=False) or ""


def _rest(name: str, tree: ast.Module) -> str:
    """The text after the imports, comments and all."""
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    lines = (HERE / f"{name}.py").read_text().splitlines(keepends=True)
    rest = "".join(lines[imports[-1].end_lineno :]).strip("\n")
    return f"\n\n# --- {name}: {_doc(name)}\n\n\n{rest}\n"


if __name__ == "__main__":
    print(join(), end="")
