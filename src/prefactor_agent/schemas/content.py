"""How a span type declares which of its fields are no content.

With content capture off, only those are kept: names, times, sizes and counts. What nobody declared
is content, with all that is below it: a text becomes ``<5 characters>``, a number ``<int>``, an
object ``<2 keys>``."""

from __future__ import annotations

from collections.abc import Mapping


class Part:
    """A value in a payload or a result of which nothing is declared: all of it is content."""

    text = False
    """A text here is kept."""
    number = False
    """A number or a boolean here is kept."""
    keys = False
    """The keys of an object here are kept."""
    own_keys = False
    """These keys are the tracer's own names, in which no pattern is looked for."""

    def field(self, key: str) -> Part:
        """What is declared of the value under a key."""
        return CONTENT

    def item(self) -> Part:
        """What is declared of each value of a list."""
        return CONTENT


CONTENT = Part()


class _Kept(Part):
    text = number = True

    def item(self) -> Part:
        return self


KEPT = _Kept()
"""A text or a number that is kept, or a list of them; an object here is content."""


class _Fields(Part):
    keys = True

    def __init__(self, known: Mapping[str, Part], *, own_keys: bool) -> None:
        self._known = known
        self.own_keys = own_keys

    def field(self, key: str) -> Part:
        return self._known.get(key, CONTENT)


class _Each(Part):
    keys = own_keys = True

    def __init__(self, part: Part) -> None:
        self._part = part

    def field(self, key: str) -> Part:
        return self._part

    def item(self) -> Part:
        return self._part


class _Measures(Part):
    number = keys = own_keys = True

    def __init__(self, texts: str) -> None:
        self._texts = frozenset(texts.split())

    def field(self, key: str) -> Part:
        return KEPT if key in self._texts else self

    def item(self) -> Part:
        return self


def fields(kept: str = "", **within: Part) -> Part:
    """An object of the tracer's: the fields in ``kept``, by name, are kept, and of each of the
    others what is said of it. Its keys are kept in any case."""
    return _Fields({**dict.fromkeys(kept.split(), KEPT), **within}, own_keys=True)


def shape(**within: Part) -> Part:
    """An object whose keys stay and whose values are content: arguments, attributes, a message."""
    return _Fields(within, own_keys=False)


def each(part: Part) -> Part:
    """A list, or an object with any keys of the tracer's: each value in it is such a ``part``."""
    return _Each(part)


def measures(texts: str = "") -> Part:
    """What was measured or counted: any numbers under any keys, however deep, and the ``texts``
    that are named."""
    return _Measures(texts)
