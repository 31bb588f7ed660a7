"""The quick identifiers are the ones that ``pfid`` makes."""

import time

import pfid

from prefactor_agent.core.ids import Ids


def test_an_id_decodes_to_its_time_and_partition() -> None:
    for partition in (0, 1, 0x2AAAAAAA, 2**30 - 1):
        before = time.time_ns() // 1_000_000
        made = Ids(partition).new()
        after = time.time_ns() // 1_000_000
        assert pfid.is_pfid(made)
        assert pfid.extract_partition(made) == partition
        assert before <= int.from_bytes(pfid.decode(made)[:6]) <= after


def test_pfid_writes_the_same_bits_the_same_way() -> None:
    made = Ids().new()
    assert pfid.encode(pfid.decode(made)) == made


def test_ids_of_a_call_differ_and_share_its_partition() -> None:
    ids = Ids()
    made = {ids.new() for _ in range(10_000)}
    assert len(made) == 10_000
    assert len({pfid.extract_partition(one) for one in made}) == 1
    assert pfid.extract_partition(Ids().new()) != pfid.extract_partition(ids.new())
