"""How long questions about many calls take: 3,000 in a journal, 50,000 in an archive.

`PYTHONPATH=tests python -m benchmarks.many_calls JOURNAL`. The calls are made from the last one of
a journal (`make demo` leaves one): the same spans under other ids and at other times, over 30 days.
Each figure is of a process of its own, the median of three: its time, its CPU time, which says more
on a busy machine, and its memory. The S3 server is versitygw, on loopback (`make versitygw`)."""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from prefactor_agent.archive.layout import day_of
from prefactor_agent.archive.table import ROW_GROUP, connect
from prefactor_agent.archive.writer import push_all
from prefactor_agent.journal.archiving import ArchiveTodo
from prefactor_agent.view.model.digest import digest_text
from support.s3 import s3

from .recorded import Recorded, spread, write

JOURNALED, ARCHIVED, DAYS = 3_000, 50_000, 30
ROUNDS = 3
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_SLOT_BITS = 20
"""A call and its spans share the first six characters of their ids, which count so many ms."""


_PROGRAM = """
import sys
from prefactor_agent.cli import main
try:
    main()
finally:
    peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    print(peak.split()[1], file=sys.stderr)
"""
"""A command, and at its end the most memory that it had, in KiB. (What the kernel tells of a child
includes what its parent had.)"""


class Cost(NamedTuple):
    """Of one process."""

    seconds: float
    cpu: float
    megabytes: float


def measure(*command: str, environment: Mapping[str, str] = os.environ) -> Cost:
    """Run a command of ``prefactor-agent``; medians."""
    costs = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, *command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        said = process.stderr.read() if process.stderr is not None else ""
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        if status:
            raise SystemExit(f"{command} failed: {said}")
        peak = int(said.split()[-1]) / 1024
        costs.append(Cost(seconds, used.ru_utime + used.ru_stime, peak))
    return Cost(*(statistics.median(values) for values in zip(*costs, strict=True)))


def make_archive(folder: Path, journal: Path, count: int, until_us: int) -> None:
    """An archive as ``compact`` leaves one: an object a day."""
    one = folder.parent / "one"
    copy = shutil.copy(journal, folder.parent / "one.db")  # what was archived is not written again
    with closing(ArchiveTodo(Path(copy), digest_text)) as todo:
        todo.want_all(again=True)
    push_all(Path(copy), str(one), digest_text)
    with connect(memory_limit="4GB") as database:
        database.execute(f"SET temp_directory = '{folder.parent}'")
        [template] = one.rglob("*.parquet")
        [root_us, lead, part] = database.execute(
            "SELECT epoch_us(started_at), left(id, 6), substr(id, 11, 6) FROM read_parquet(?) "
            "WHERE parent_id IS NULL",
            [str(template)],
        ).fetchone() or (0, "", "")
        slot_us = 1000 << _SLOT_BITS
        last = (until_us - 86_400_000_000 - root_us) // slot_us
        slots = DAYS * 86_400_000_000 // slot_us
        days: dict[str, list[tuple[int, str, str]]] = {}
        for number in range(count):
            slot = last - slots + number * slots // count
            stamp = _encode((root_us // 1000 >> _SLOT_BITS) + slot, 6)
            day = str(day_of(root_us + slot * slot_us))
            days.setdefault(day, []).append((slot * slot_us, stamp, _encode(number, 6)))
        for day, calls in days.items():
            path = folder / f"agent=ShopAssistant/date={day}/day-{day}.parquet"
            path.parent.mkdir(parents=True)
            shifts, stamps, parts = map(list, zip(*calls, strict=True))
            named = ", ".join(
                f"replace(replace({name}, '{lead}', stamp), '{part}', part) AS {name}"
                for name in ("session_id", "id", "parent_id", "payload", "result", "digest")
            )
            began = f'"started_us":{root_us}'
            database.execute(
                f"COPY (SELECT * EXCLUDE (shift, stamp, part, file_row_number) REPLACE ({named}, "
                "started_at + to_microseconds(shift) AS started_at, "
                "finished_at + to_microseconds(shift) AS finished_at) FROM (SELECT * REPLACE ("
                f"replace(digest, '{began}', '\"started_us\":' || ({root_us} + shift)) AS digest) "
                "FROM read_parquet(?, file_row_number = true, hive_partitioning = false), "
                "(SELECT unnest(?::BIGINT[]) AS shift, unnest(?::VARCHAR[]) AS stamp, "
                "unnest(?::VARCHAR[]) AS part)) ORDER BY session_id, file_row_number) "
                f"TO '{path}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP})",
                [str(template), shifts, stamps, parts],
            )


def _encode(value: int, characters: int) -> str:
    return "".join(_ALPHABET[value >> 5 * place & 31] for place in reversed(range(characters)))


def rows(journal: Path, scratch: Path) -> Iterator[tuple[str, Cost, str]]:
    """What is measured, what it cost, and its target."""
    now_us = time.time_ns() // 1000
    many = scratch / "journal.db"
    write(many, spread(Recorded.last_of(journal), JOURNALED, DAYS, now_us))
    size = many.stat().st_size / 2**20
    what = f"journal of {JOURNALED:,} calls, {size:.0f} MiB"
    yield "an empty command", measure("--version"), ""
    measure("stats", "--journal", str(many))  # works out what a journal of before lacks
    yield f"sessions, {what}", measure("sessions", "--journal", str(many)), "0.3 s"
    yield f"stats, {what}", measure("stats", "--journal", str(many)), "0.5 s"
    many.unlink()
    folder = scratch / "s3" / "calls"
    with s3(scratch / "s3") as bucket:
        archive = folder / "agents"
        make_archive(archive, journal, ARCHIVED, now_us)
        size = sum(path.stat().st_size for path in archive.rglob("*.parquet")) / 2**20
        environment = {**os.environ, **bucket.environment()}
        for name, address in (("folder", str(archive)), ("S3 on loopback", bucket.address)):
            what = f"{name}, {ARCHIVED:,} calls, {size:.0f} MiB"
            for command, target in (
                (["sessions"], "1 s"),
                (["stats", "--since", "30d"], "3 s" if name == "folder" else "10 s"),
                (["show"], ""),
            ):
                cost = measure(*command, "--from", address, environment=environment)
                yield f"{' '.join(command)}, {what}", cost, target


def main() -> None:
    parser = argparse.ArgumentParser(description="Questions about many calls.")
    parser.add_argument("journal", type=Path, help="with a recorded call; make demo leaves one")
    arguments = parser.parse_args()
    table = Table("what", "time", "CPU", "memory", "target", title="Many calls")
    with tempfile.TemporaryDirectory() as scratch:
        for what, cost, target in rows(arguments.journal, Path(scratch)):
            missed = target and cost.seconds > float(target.split()[0])
            table.add_row(
                what,
                f"{cost.seconds:.2f} s",
                f"{cost.cpu:.2f} s",
                f"{cost.megabytes:.0f} MiB",
                f"{target}{', missed' if missed else ', met' if target else ''}",
            )
            Console(stderr=True).print(f"{what}: {cost}")
    Console().print(table)


if __name__ == "__main__":
    main()
