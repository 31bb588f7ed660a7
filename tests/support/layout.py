"""Reads a package's source and answers questions about its layout: who imports whom, circles, SQL,
private names. It runs nothing of what it reads, so a test can hand it a few made-up modules."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

_SQL = re.compile(
    r"\b(SELECT\b.*\bFROM|INSERT INTO|UPDATE\b.*\bSET|DELETE FROM|CREATE (TABLE|INDEX|TRIGGER)"
    r"|PRAGMA|BEGIN IMMEDIATE)\b",
    re.DOTALL,
)


class Source:
    """The modules of one package.

    Args:
        package: Its name.
        texts: The text of each module by its name below the package; the package's own is ``""``.
        packages: Which of them are folders.
    """

    def __init__(self, package: str, texts: Mapping[str, str], packages: set[str]) -> None:
        self.package = package
        self.texts = {self._whole(name): text for name, text in texts.items()}
        self.packages = {self._whole(name) for name in {"", *packages}}
        self.trees = {name: ast.parse(text, name) for name, text in self.texts.items()}
        self._imports: dict[tuple[str, bool], set[str]] = {}

    @classmethod
    def read(cls, root: Path) -> Source:
        """The package in a folder."""
        texts, packages = {}, set()
        for path in sorted(root.rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            if parts[-1] == "__init__":
                parts = parts[:-1]
                packages.add(".".join(parts))
            texts[".".join(parts)] = path.read_text(encoding="utf-8")
        return cls(root.name, texts, packages)

    def _whole(self, name: str) -> str:
        return f"{self.package}.{name}" if name else self.package

    def short(self, module: str) -> str:
        """A module's name below the package, which is itself ``.``."""
        return module.removeprefix(self.package).removeprefix(".") or "."

    def imports(self, module: str, *, types: bool = True) -> set[str]:
        """What a module imports, at once or later: modules of this package, and names of others.

        Args:
            types: Those too that only a type checker sees.
        """
        if (known := self._imports.get((module, types))) is not None:
            return known
        found: set[str] = set()
        for node in _statements(self.trees[module], types=types):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                base = self._base(module, node)
                for alias in node.names:
                    name = f"{base}.{alias.name}"
                    ours = base in self.trees and name not in self.trees
                    found.add(base if ours else name)
        self._imports[module, types] = found = found - {module}
        return found

    def _base(self, module: str, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        above = module.split(".") if module in self.packages else module.split(".")[:-1]
        above = above[: len(above) - node.level + 1]
        return ".".join([*above, node.module] if node.module else above)

    @cached_property
    def graph(self) -> dict[str, set[str]]:
        """Which modules of the package each of them imports, for types or at run time."""
        return {module: self.imports(module) & self.trees.keys() for module in self.trees}

    def reaches(self, module: str, but: str = "") -> set[str]:
        """All that is loaded with a module at run time, of this package and of others.

        Args:
            but: A floor through which nothing is followed.
        """
        seen: set[str] = set()
        todo = [module]
        while todo:
            one = todo.pop()
            if one in seen:
                continue
            seen.add(one)
            if one in self.trees and not (but and within(self.short(one), but)):
                todo += self.imports(one, types=False)
                todo += [package for package in self.packages if within(one, package)]
        return seen - {module}

    def circles(self) -> list[list[str]]:
        """The modules that import each other in a circle: of each circle all that belong to it."""
        reached = {module: self._below(module) for module in self.graph}
        found: list[list[str]] = []
        for module in sorted(self.graph):
            same = [one for one in reached[module] if module in reached[one]]
            circle = sorted(map(self.short, same))
            if circle and circle not in found:
                found.append(circle)
        return found

    def _below(self, module: str) -> set[str]:
        seen: set[str] = set()
        todo = [*self.graph[module]]
        while todo:
            if (one := todo.pop()) not in seen:
                seen.add(one)
                todo += self.graph[one]
        return seen

    def floor(self, module: str, floors: Mapping[str, str]) -> str | None:
        """The floor of a module: the longest of these names that it is, or lies in."""
        name = self.short(module)
        fits = [floor for floor in floors if within(name, floor)]
        return max(fits, key=len, default=None)

    def wrong_ways(self, floors: Mapping[str, str]) -> list[str]:
        """The imports that are not allowed.

        Args:
            floors: By name of a floor, those that it may import, besides itself.
        """
        found = []
        for module, imported in self.graph.items():
            floor = self.floor(module, floors)
            if floor is None:
                found.append(f"{self.short(module)} is on no floor")
                continue
            allowed = {floor, *floors[floor].split()}
            found += [
                f"{self.short(module)} imports {self.short(other)}"
                for other in sorted(imported)
                if self.floor(other, floors) not in allowed
            ]
        return found

    def importing(self, libraries: set[str]) -> set[str]:
        """The modules that import one of these libraries themselves, for types or at run time."""
        return {
            self.short(module)
            for module in self.trees
            if any(within(one, library) for one in self.imports(module) for library in libraries)
        }

    def loading(self, floor: str, libraries: set[str], but: str = "") -> list[str]:
        """What of these libraries is loaded with the modules of a floor.

        Args:
            but: A floor whose own libraries do not count.
        """
        return [
            f"{self.short(module)} loads {one}"
            for module in self.trees
            if within(self.short(module), floor)
            for one in sorted(self.reaches(module, but))
            if any(within(one, library) for library in libraries)
        ]

    def with_sql(self) -> set[str]:
        """The modules with SQL: in a text that is no docstring, or through sqlite3 itself."""
        return {
            *self.importing({"sqlite3"}),
            *(
                self.short(module)
                for module, tree in self.trees.items()
                if any(_SQL.search(text) for text in _texts(tree))
            ),
        }

    def of_wrong_size(self, least: int, most: int, small: set[str]) -> list[str]:
        """The files that are too long, or too short.

        Args:
            small: Those that may be short: types. So may the files of packages and of programs.
        """
        found = []
        for module, text in self.texts.items():
            name, lines = self.short(module), text.count("\n")
            entry = module in self.packages or name.endswith("__main__") or name in small
            if lines > most:
                found.append(f"{name} is too long")
            elif lines < least and not entry:
                found.append(f"{name} is too short")
        return found

    def private_imports(self) -> list[str]:
        """Names that are private to one module of the package, imported by another."""
        return [
            f"{self.short(module)} imports {self.short(one)}"
            for module in self.trees
            for one in sorted(self._imported_names(module))
            if within(one, self.package) and is_private(one.rpartition(".")[2])
        ]

    def _imported_names(self, module: str) -> set[str]:
        return {
            f"{self._base(module, node)}.{alias.name}"
            for node in ast.walk(self.trees[module])
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }

    def foreign_private_names(self, library: str) -> dict[str, list[str]]:
        """By module that imports a library: the private names that it reads, or imports from the
        library, which are not the package's own."""
        own = self._own_names()
        found: dict[str, list[str]] = {}
        for module, tree in self.trees.items():
            imported = self.imports(module) | self._imported_names(module)
            theirs = [one for one in imported if within(one, library)]
            read = [
                f"{name} (line {at})" for at, name in private_reads(tree) if name not in own
            ] + [one for one in theirs if any(map(is_private, one.split(".")))]
            if theirs and read:
                found[self.short(module)] = sorted({*read})
        return found

    def _own_names(self) -> set[str]:
        """The private names that the package gives to its functions, classes and attributes."""
        found: set[str] = set()
        for tree in self.trees.values():
            for node in ast.walk(tree):
                found |= _names_given(node)
        return found


def within(name: str, package: str) -> bool:
    """Whether a name is this one, or lies in it."""
    return name == package or name.startswith(f"{package}.")


def is_private(name: str) -> bool:
    """Whether a name begins with an underscore, as Python's own special names do not."""
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__"))


def private_reads(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every private name that is read from an object that is not ``self`` or ``cls``, by attribute
    or by name, with its line."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="self" | "cls")):
                continue
            case ast.Attribute(attr=name):
                pass
            case ast.Call(
                func=ast.Name(id="getattr" | "hasattr" | "setattr"),
                args=[_, ast.Constant(value=str(name)), *_],
            ):
                pass
            case _:
                continue
        if is_private(name):
            yield node.lineno, name


def _names_given(node: ast.AST) -> set[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return {name}
        case ast.Attribute(attr=name, ctx=ast.Store(), value=ast.Name(id="self" | "cls")):
            return {name}
        case ast.Assign(targets=targets):
            return {target.id for target in targets if isinstance(target, ast.Name)}
        case ast.AnnAssign(target=ast.Name(id=name)):
            return {name}
        case ast.Constant(value=str(name)) if name.startswith("_assigned"):
            return {name}  # slots of a stand-in
    return set()


def _statements(node: ast.AST, *, types: bool) -> Iterator[ast.AST]:
    """All below a node; without ``types`` only what is there at run time."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test) and not types:
            for other in child.orelse:
                yield other
                yield from _statements(other, types=types)
            continue
        yield child
        yield from _statements(child, types=types)


def _texts(tree: ast.Module) -> Iterator[str]:
    """The texts in a module that are not docstrings, those with values in them as a whole."""
    said = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else "?" for part in node.values
            )
        elif id(node) not in said and isinstance(value := getattr(node, "value", None), str):
            yield value
