"""The totals of a journal as a text, where no worker is asked for them: for the textfile collector
of Prometheus's node exporter, and to look at."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from ...journal.totals import Totals, read
from .families import families


def exposition(journal: Path) -> str:
    """All series of a journal in Prometheus's text format.

    Raises:
        UnusableJournalError, StorageError: The journal cannot be read.
    """
    registry = CollectorRegistry()
    registry.register(_Given(read(journal)))
    return generate_latest(registry).decode()


def replace(path: Path, text: str) -> None:
    """Write a file that is never half there for who reads it.

    Raises:
        OSError
    """
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=path.absolute().parent, prefix=f".{path.name}-", delete=False
    ) as file:
        made = Path(file.name)
        file.write(text)
    try:
        made.chmod(0o644)  # the exporter is another user
        made.replace(path)
    except OSError:
        made.unlink()
        raise


class _Given(Collector):
    def __init__(self, totals: Totals) -> None:
        self._totals = totals

    def collect(self) -> Iterator[Metric]:
        return families(self._totals)
