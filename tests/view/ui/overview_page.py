"""What the overview says, as a program reads it: its numbers stand in ``<data value>``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any


class OverviewPage(HTMLParser):
    """The numbers of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.sure = ""
        """Where its intervals are to be had; empty: it has them."""
        self.figures: dict[str, list[float]] = defaultdict(list)
        """By its heading, the numbers of a figure at the top."""
        self.tables: dict[str, list[list[float | str]]] = defaultdict(list)
        """By class, the rows of a table: a number where a cell has one, else its text."""
        self.differences: dict[str, list[float | None]] = {}
        """By ``group/name/statistic``: both values, the difference and its interval."""
        self.links: list[str] = []
        self._table = self._heading = ""
        self._row: dict[str, Any] | None = None
        self._inside: list[str] = []
        self._interval: list[float | None] = []
        self.feed(page)

    @property
    def waits(self) -> bool:
        """Whether it is still to get its intervals."""
        return bool(self.sure)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attributes}
        self.sure = found.get("data-sure", self.sure)
        if tag == "a":
            self.links.append(found["href"])
        elif tag == "table":
            self._table = found.get("class", "other")
        elif tag == "tr":
            self._row = {"key": found.get("data-row", ""), "cells": []}
            self._interval = [None, None]
        elif tag in ("td", "th") and self._row is not None:
            self._row["cells"].append("")
            if "data-low" in found:
                self._interval = [float(found["data-low"]), float(found["data-high"])]
        elif tag == "dt":
            self._heading = ""
        elif tag == "data":
            value = float(found["value"])
            if self._row is not None:
                self._row["cells"][-1] = value
            elif self._inside and self._inside[-1] == "dd":
                self.figures[self._heading].append(value)
        if tag in ("dt", "dd"):
            self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("dt", "dd"):
            self._inside.pop()
        elif tag == "tr" and self._row is not None:
            cells = self._row["cells"]
            self.tables[self._table].append(cells)
            if self._row["key"]:
                numbers = [cell if isinstance(cell, float) else None for cell in cells[2:5]]
                self.differences[self._row["key"]] = [*numbers, *self._interval]
            self._row = None

    def handle_data(self, data: str) -> None:
        if self._row is not None and self._row["cells"]:
            cell = self._row["cells"][-1]
            if isinstance(cell, str):
                self._row["cells"][-1] = (cell + data).strip()
        elif self._inside and self._inside[-1] == "dt":
            self._heading += data

    def lines(self) -> Iterator[dict[str, object]]:
        """The stages of dead air and pickup, as ``stats --json`` has them but for their names."""
        for row in self.tables["figures-table"]:
            if isinstance(row[2], float):
                count = int(str(row[1]).replace(",", ""))
                yield {
                    "count": count, "median_ms": row[2], "p95_ms": row[3], "worst_ms": row[4],
                }  # fmt: skip
