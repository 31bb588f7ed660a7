"""Rewrites an agent's source so that it is traced: what ``prefactor-agent init`` does.

Pure: from the bytes of a file to its new bytes. The rest of the file keeps its formatting and
comments, byte for byte. Wants libcst, which the extra ``init`` brings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import libcst as cst
from libcst import metadata
from libcst.metadata import MetadataWrapper, QualifiedNameSource

_PLACES = {
    "Agent": ("livekit.agents", "livekit.agents.voice", "livekit.agents.voice.agent"),
    "AgentTask": ("livekit.agents", "livekit.agents.voice", "livekit.agents.voice.agent"),
    "function_tool": (
        "livekit.agents",
        "livekit.agents.llm",
        "livekit.agents.llm.tool_context",
    ),
}
"""Where LiveKit has each name, from 1.5 on."""
_TRACED = {
    "Agent": "TracedAgent",
    "AgentTask": "TracedAgentTask",
    "function_tool": "traced_tool",
}
_RENAMED = {
    f"{place}.{name}": _TRACED[name] for name, places in _PLACES.items() for place in places
}
"""From LiveKit's qualified name to ours."""
_OURS = "prefactor_agent"


class NotUnderstoodError(Exception):
    """The file is left as it is; the message says why, and where."""


class Change(NamedTuple):
    line: int
    before: str
    after: str


class Rewritten(NamedTuple):
    source: bytes
    changes: list[Change]
    left: list[Change]
    """Uses of LiveKit's names that stay, as annotations do; ``after`` is what would trace them."""


def traced(source: bytes) -> Rewritten:
    """Trace the agents and tools of a file.

    Base classes and calls of ``Agent`` and ``AgentTask`` become their traced forms, and so does
    ``function_tool`` as a decorator and where it is called; the import is added, and names that
    LiveKit's import no longer needs are taken out of it.

    Args:
        source: The file, as it is on the disk.

    Raises:
        NotUnderstoodError: It is no Python, or says in a way that cannot be followed what an agent
            is.
    """
    try:
        module = cst.parse_module(source)
    except (cst.ParserSyntaxError, UnicodeError) as error:
        line = f"line {error.raw_line}: " if isinstance(error, cst.ParserSyntaxError) else ""
        raise NotUnderstoodError(f"{line}this is not Python") from None
    wrapper = MetadataWrapper(module, unsafe_skip_copy=True)
    uses = _Uses()
    wrapper.visit(uses)
    if not uses.found:
        return Rewritten(source, [], uses.left)
    _refuse_names_taken(wrapper, uses)
    kept_names = {use.before for use in uses.left} | _exported(module)
    imports = _imports(module)
    ours = next(
        (
            imported.part
            for imported in imports
            if imported.package == _OURS
            and isinstance(imported.part, cst.ImportFrom)
            and not isinstance(imported.part.names, cst.ImportStar)
        ),
        None,
    )
    if ours is None:
        module = _with_import(module, imports, _names(uses.found))
    changed = module.visit(_Rename(uses.found, kept_names, ours, imports))
    return Rewritten(changed.bytes, list(uses.found.values()), uses.left)


class _Uses(cst.CSTVisitor):
    """The uses of LiveKit's names, and whether each is one that is rewritten."""

    METADATA_DEPENDENCIES = (
        metadata.QualifiedNameProvider,
        metadata.PositionProvider,
        metadata.ParentNodeProvider,
    )

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[cst.CSTNode, Change] = {}
        self.left: list[Change] = []

    def visit_ImportFrom(self, node: cst.ImportFrom) -> bool:
        module = _dotted(node.module)
        if isinstance(node.names, cst.ImportStar) and module.startswith("livekit"):
            raise NotUnderstoodError(
                f"line {self._line(node)}: `from {module} import *` does not say which names it"
                " brings: import them by name"
            )
        return False

    def visit_Import(self, node: cst.Import) -> bool:
        return False

    def visit_Name(self, node: cst.Name) -> None:
        self._see(node, node.value)

    def visit_Attribute(self, node: cst.Attribute) -> bool:
        return not self._see(node, _dotted(node))

    def _see(self, node: cst.Name | cst.Attribute, written: str) -> bool:
        meant = {
            (name.name, name.source)
            for name in self.get_metadata(metadata.QualifiedNameProvider, node, set())
        }
        ours = {_RENAMED[name] for name, _ in meant if name in _RENAMED}
        if not ours:
            return False
        if len(meant) > 1 or any(origin is not QualifiedNameSource.IMPORT for _, origin in meant):
            raise NotUnderstoodError(
                f"line {self._line(node)}: {written} is defined in more than one way"
            )
        use = Change(self._line(node), written, ours.pop())
        if self._is_rewritten(node):
            self.found[node] = use
        else:
            self.left.append(use)
        return True

    def _is_rewritten(self, node: cst.CSTNode) -> bool:
        """Whether a name makes an agent or a tool where it stands: in an annotation, or as
        something that is only compared with, it does not."""
        parent = self._parent(node)
        if isinstance(parent, cst.Subscript) and parent.value is node:  # AgentTask[str]
            node, parent = parent, self._parent(parent)
        if isinstance(parent, cst.Decorator):
            return True
        if isinstance(parent, cst.Call):
            return parent.func is node
        if isinstance(parent, cst.Arg):
            holder = self._parent(parent)
            return isinstance(holder, cst.ClassDef) and parent in holder.bases
        return False

    def _parent(self, node: cst.CSTNode) -> cst.CSTNode | None:
        return self.get_metadata(metadata.ParentNodeProvider, node, None)

    def _line(self, node: cst.CSTNode) -> int:
        return self.get_metadata(metadata.PositionProvider, node).start.line


def _refuse_names_taken(wrapper: MetadataWrapper, uses: _Uses) -> None:
    """Refuse a file in which one of our names is something else already."""
    scopes = {scope for scope in wrapper.resolve(metadata.ScopeProvider).values() if scope}
    for name in _names(uses.found):
        assigned = (one for scope in scopes for one in scope.assignments[name])
        if any(_is_another(name, one) for one in assigned):
            raise NotUnderstoodError(f"{name} is a name of its own in this file")


def _is_another(name: str, assignment: metadata.BaseAssignment) -> bool:
    """Whether an assignment gives one of our names another meaning."""
    if isinstance(assignment, metadata.BuiltinAssignment):
        return False
    meant = {known.name for known in assignment.get_qualified_names_for(name)}
    return meant != {f"{_OURS}.{name}"}


def _exported(module: cst.Module) -> set[str]:
    """The names that stand in a string: in ``__all__``, or as an annotation."""
    texts: set[str] = set()

    class Strings(cst.CSTVisitor):
        def visit_SimpleString(self, node: cst.SimpleString) -> None:
            value = node.evaluated_value
            if isinstance(value, str) and len(value) < 200:
                texts.update(value.replace("[", " ").replace("]", " ").replace("|", " ").split())

    module.visit(Strings())
    return texts


class _Import(NamedTuple):
    """An import of the module itself."""

    part: cst.Import | cst.ImportFrom
    place: int
    """Which statement of the module it is in."""
    package: str
    commented: bool
    """A comment stands above it, which would go with it."""


def _imports(module: cst.Module) -> list[_Import]:
    return [
        _Import(
            part,
            place,
            _package(part),
            any(line.comment for line in statement.leading_lines),
        )
        for place, statement in enumerate(module.body)
        if isinstance(statement, cst.SimpleStatementLine)
        for part in statement.body
        if isinstance(part, cst.Import | cst.ImportFrom)
    ]


def _package(part: cst.Import | cst.ImportFrom) -> str:
    name = part.module if isinstance(part, cst.ImportFrom) else part.names[0].name
    return _dotted(name).split(".")[0]


def _names(found: Mapping[cst.CSTNode, Change]) -> list[str]:
    return sorted({use.after for use in found.values()})


def _with_import(module: cst.Module, imports: list[_Import], names: list[str]) -> cst.Module:
    """Import our names below the last import of LiveKit's, else of all, else at the top."""
    above = [imported.place for imported in imports if imported.package == "livekit"]
    above = above or [imported.place for imported in imports]
    above = above or [-1 if module.get_docstring() is None else 0]
    line = f"from {_OURS} import {', '.join(names)}"
    body = list(module.body)
    body.insert(above[-1] + 1, cst.parse_statement(line, config=module.config_for_parsing))
    return module.with_changes(body=body)


class _Rename(cst.CSTTransformer):
    """Replaces the uses, and takes names that nothing uses any more out of LiveKit's imports."""

    def __init__(
        self,
        found: Mapping[cst.CSTNode, Change],
        kept: Iterable[str],
        ours: cst.CSTNode | None,
        imports: Iterable[_Import],
    ) -> None:
        super().__init__()
        self._found = found
        self._unused = {use.before for use in found.values()} - set(kept)
        self._ours = ours
        self._removable = {imported.part for imported in imports if not imported.commented}

    def leave_Name(self, original: cst.Name, updated: cst.Name) -> cst.BaseExpression:
        use = self._found.get(original)
        return updated.with_changes(value=use.after) if use else updated

    def leave_Attribute(
        self, original: cst.Attribute, updated: cst.Attribute
    ) -> cst.BaseExpression:
        use = self._found.get(original)
        return cst.Name(use.after, updated.lpar, updated.rpar) if use else updated

    def leave_ImportFrom(
        self, original: cst.ImportFrom, updated: cst.ImportFrom
    ) -> cst.ImportFrom | cst.RemovalSentinel:
        if isinstance(updated.names, cst.ImportStar):
            return updated
        if original is self._ours:
            return _with_names(updated, updated.names, _names(self._found))
        module = _dotted(updated.module)
        kept = [name for name in updated.names if not self._is_unused(module, name)]
        if len(kept) == len(updated.names):
            return updated
        if not kept:
            return cst.RemoveFromParent() if original in self._removable else updated
        kept[-1] = kept[-1].with_changes(comma=updated.names[-1].comma)
        return updated.with_changes(names=kept)

    def _is_unused(self, module: str, name: cst.ImportAlias) -> bool:
        return (
            f"{module}.{_dotted(name.name)}" in _RENAMED
            and (name.evaluated_alias or name.evaluated_name) in self._unused
        )


def _with_names(
    part: cst.ImportFrom, present: Iterable[cst.ImportAlias], names: list[str]
) -> cst.ImportFrom:
    """Add names to an import, with the commas that it has."""
    all_ = list(present)
    known = {alias.evaluated_name for alias in all_}
    between = all_[0].comma if len(all_) > 1 else cst.MaybeSentinel.DEFAULT
    for name in names:
        if name not in known:
            end = all_[-1].comma
            all_[-1] = all_[-1].with_changes(comma=between)
            all_.append(cst.ImportAlias(cst.Name(name), comma=end))
    return part.with_changes(names=all_)


def _dotted(node: cst.BaseExpression | None) -> str:
    """A name as it is written, ``a.b.c``; empty for what is none."""
    if isinstance(node, cst.Name):
        return node.value
    if isinstance(node, cst.Attribute):
        return f"{_dotted(node.value)}.{node.attr.value}"
    return ""
