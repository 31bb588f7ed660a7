"""Makes the package's docstrings ready for the site's reference.

griffe, which mkdocstrings reads them with, takes them from the source, as Markdown. So the
roles of reStructuredText become links or code, and a docstring that is made when the package is
imported is taken from there."""

from __future__ import annotations

import inspect
import re
from typing import Any

import griffe

import prefactor_agent
import prefactor_agent.testing

PUBLIC = {
    name: f"{package.__name__}.{name}"
    for package in (prefactor_agent, prefactor_agent.testing)
    for name in package.__all__
}
_ROLE = re.compile(r":\w+:`(~?)([^`]+)`")
_DOCUMENT = re.compile(r"(?<![\w/`])`*docs/([\w-]+\.md)`*")


class Docstrings(griffe.Extension):  # type: ignore[misc]  # not installed where types are checked
    def on_instance(self, *, obj: griffe.Object, **_more: Any) -> None:
        if obj.docstring is None:
            return
        text = obj.docstring.value
        if "{args}" in text:
            made = getattr(prefactor_agent, obj.name).__doc__
            text = inspect.cleandoc(made)
        text = _ROLE.sub(lambda role: _named(role[2], short=bool(role[1])), text)
        obj.docstring.value = _DOCUMENT.sub(r"[\1](\1)", text)


def _named(target: str, *, short: bool) -> str:
    """A name as Markdown: a link where it is one of the package's public names."""
    names = target.lstrip(".").split(".")
    name = names[-1] if short else ".".join(names)
    public = PUBLIC.get(names[0])
    if public is None:
        return f"`{name}`"
    return f"[`{name}`][{'.'.join([public, *names[1:]])}]"
