"""Imports point one way: record → journal → deliver and view. These rules are the architecture.

Imports for type checkers alone do not count, except where a rule says so: at run time they are not
there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import prefactor_agent

ROOT = Path(prefactor_agent.__file__).parent
PACKAGE = "prefactor_agent"
HTTP = {
    "aiohttp",
    "httpx",
    "requests",
    "urllib3",
    "urllib.request",
    "http.client",
    "prefactor_http",
}
PRIVATE = f"{PACKAGE}.record.livekit.private"


def modules() -> dict[str, ast.Module]:
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = [PACKAGE, *path.relative_to(ROOT).with_suffix("").parts]
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(), filename=str(path))
    return found


MODULES = modules()
PACKAGES = {
    ".".join([PACKAGE, *path.parent.relative_to(ROOT).parts]) for path in ROOT.rglob("__init__.py")
}


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """All below ``node`` that is there at run time."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield other
                yield from statements(other)
            continue
        yield child
        yield from statements(child)


def imports(module: str) -> set[str]:
    """The modules that ``module`` imports at run time, at once or later."""
    found: set[str] = set()
    for node in statements(MODULES[module]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                above = parts if module in PACKAGES else parts[:-1]
                above = above[: len(above) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            found.add(base)
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return found


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def layer(name: str) -> list[str]:
    return [module for module in MODULES if within(module, f"{PACKAGE}.{name}")]


def reaches(module: str) -> set[str]:
    """All that is imported with ``module``, of this package and of others."""
    seen: set[str] = set()
    todo = [module]
    while todo:
        for name in imports(todo.pop()):
            if name not in seen:
                seen.add(name)
                if name in MODULES:
                    todo.append(name)
    return seen


RULES = {
    "record": ("journal", "deliver", "view", "cli", "pipeline", "tracing", "agent", "tools"),
    "journal": ("deliver", "view", "cli", "pipeline", "tracing", "agent", "tools"),
    "deliver": ("view", "cli", "pipeline", "tracing", "agent", "tools"),
    "view": ("deliver", "cli", "pipeline", "tracing", "agent", "tools"),
    "config": ("record", "journal", "deliver", "view", "cli", "pipeline", "tracing"),
    "redact": ("record", "journal", "deliver", "view", "cli", "pipeline", "tracing"),
    "conversation": ("record", "journal", "deliver", "view", "cli", "pipeline", "tracing"),
    "testing": ("deliver", "cli", "pipeline"),
    "core": (
        "config",
        "redact",
        "record",
        "journal",
        "deliver",
        "view",
        "cli",
        "pipeline",
        "tracing",
    ),
    "schemas": ("record", "journal", "deliver", "view", "compat", "cli", "pipeline", "tracing"),
}
"""What a layer may not import."""


def test_only_tests_import_testing() -> None:
    others = [module for module in MODULES if not within(module, f"{PACKAGE}.testing")]
    assert not [
        module
        for module in others
        for imported in imports(module)
        if within(imported, f"{PACKAGE}.testing")
    ]


@pytest.mark.parametrize("name", RULES)
def test_imports_point_one_way(name: str) -> None:
    wrong = [
        f"{module} imports {imported}"
        for module in layer(name)
        for imported in imports(module)
        for forbidden in RULES[name]
        if within(imported, f"{PACKAGE}.{forbidden}")
    ]
    assert not wrong
    assert layer(name)


def test_what_reads_a_trace_does_without_livekit() -> None:
    """The command line, delivery and the views start without LiveKit: it takes two seconds to
    import, and is not there where a journal is only looked at."""
    for name in ("cli", "journal", "deliver", "view", "config", "redact", "conversation"):
        for module in layer(name):
            # An agent file's own names are imported by the package itself, at their first use.
            loaded = {one for one in reaches(module) if within(one, "livekit")}
            assert not loaded, f"{module} brings {loaded}"


def test_livekit_and_http_never_meet() -> None:
    """What runs inside the agent's event loop cannot call out."""
    for module in MODULES:
        found = imports(module)
        talks = {one for one in found if any(within(one, library) for library in HTTP)}
        if talks:
            allowed = (f"{PACKAGE}.deliver.", f"{PACKAGE}.view.ui.", f"{PACKAGE}.compat.instances")
            assert module.startswith(allowed), f"{module} imports {talks}"
            assert not any(within(one, "livekit") for one in found), module
        if module.startswith(f"{PACKAGE}.record"):
            brought = {one for one in reaches(module) if any(within(one, lib) for lib in HTTP)}
            assert not brought, f"{module} brings {brought}"


SQL = re.compile(
    r"\b(?:SELECT .+ FROM|INSERT (?:OR \w+ )?INTO|UPDATE \w+ SET|DELETE FROM|PRAGMA \w+|BEGIN IMM)"
)


def sql(tree: ast.Module) -> list[str]:
    """The texts that SQLite is to run."""
    texts = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return [text for text in texts if isinstance(text, str) and SQL.search(text)]


def test_the_journal_is_the_only_floor_with_sql() -> None:
    wrong = [
        module
        for module, tree in MODULES.items()
        if not within(module, f"{PACKAGE}.journal") and (sql(tree) or "sqlite3" in imports(module))
    ]
    assert not wrong
    for module in ("outbox", "follow", "retention", "health"):
        assert sql(MODULES[f"{PACKAGE}.journal.{module}"]), "or the check sees nothing"


def test_what_is_private_to_a_module_stays_in_it() -> None:
    wrong = [
        f"{module} imports {imported}"
        for module in MODULES
        for imported in imports(module)
        if within(imported, PACKAGE) and is_private(imported.rpartition(".")[2])
    ]
    assert not wrong


def is_private(name: str) -> bool:
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__"))


def private_reads(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every underscore name read from, or by name of, an object that the module does not make.

    Names that a class of this package defines are its own business."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            name, at = node.attr, node.lineno
            if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
                continue
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("getattr", "hasattr", "setattr")
            and len(node.args) > 1
            and isinstance(node.args[1], ast.Constant)
        ):
            name, at = str(node.args[1].value), node.lineno
        else:
            continue
        if is_private(name):
            yield at, name


def own_names() -> set[str]:
    """Underscore names that this package gives to its own functions, classes and attributes."""
    found: set[str] = set()
    for tree in MODULES.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
                    found.add(node.attr)
            elif isinstance(node, ast.AnnAssign | ast.Assign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                found |= {target.id for target in targets if isinstance(target, ast.Name)}
            elif isinstance(node, ast.Constant) and str(node.value).startswith("_assigned"):
                found.add(str(node.value))  # slots of a stand-in
    return found


def test_one_module_reads_what_is_private_to_livekit() -> None:
    own = own_names()
    others = {
        module: sorted(
            {f"{name} (line {at})" for at, name in private_reads(tree) if name not in own}
        )
        for module, tree in MODULES.items()
        if module != PRIVATE and any(within(one, "livekit") for one in imports(module))
    }
    assert {module: names for module, names in others.items() if names} == {}
    imported = {
        f"{module}: {one}"
        for module in MODULES
        for one in imports(module)
        if within(one, "livekit") and any(part.startswith("_") for part in one.split("."))
    }
    assert imported == set()


def test_the_check_sees_what_it_looks_for() -> None:
    tree = ast.parse("a._b\ngetattr(c, '_d')\nself._own\nx.__class__\n")
    assert [name for _, name in private_reads(tree)] == ["_b", "_d"]
    assert "livekit.agents" in reaches(f"{PACKAGE}.agent")
    assert f"{PACKAGE}.record.recorder" in reaches(f"{PACKAGE}.agent")
    assert f"{PACKAGE}.journal.writer" in imports(f"{PACKAGE}.pipeline")
