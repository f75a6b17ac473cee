"""Shards: every monitor is of exactly one, all replicas agree on it, and all are alike in size."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstop.core.shards import MOST, Shard, leases, shard_of

NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=63)
COUNTS = st.integers(1, MOST)


@given(namespace=NAMES, name=NAMES, count=COUNTS)
def test_every_monitor_is_of_exactly_one_shard(namespace, name, count):
    """None is left out, none has two owners."""
    owners = [one for one in range(count) if Shard(one, count).owns(namespace, name)]
    assert owners == [shard_of(namespace, name, count)]


@pytest.mark.parametrize(
    ("namespace", "name", "shards"),
    [
        ("demo", "fraud", (0, 0, 1, 2)),
        ("a", "b-c", (0, 1, 1, 7)),
        ("a-b", "c", (0, 0, 0, 2)),
    ],
)
def test_the_shard_of_a_monitor_is_the_same_in_every_version(namespace, name, shards):
    """Replicas of different versions run side by side in an upgrade, so these never change."""
    assert tuple(shard_of(namespace, name, count) for count in (1, 2, 3, 16)) == shards


@settings(max_examples=15)
@given(st.sampled_from([2, 3, 5, 8]), NAMES)
def test_shards_are_alike_in_size(count, prefix):
    """Also where names differ in a number only: each has its share, up to a fifth of it.

    2,000 monitors for each shard scatter by 45 (one standard deviation), so this is nine of them.
    """
    monitors = 2_000 * count
    sizes = Counter(shard_of("team", f"{prefix}-{number}", count) for number in range(monitors))
    assert len(sizes) == count
    assert all(1_600 <= size <= 2_400 for size in sizes.values())


@given(COUNTS, st.data())
def test_what_is_written_is_what_is_read(count, data):
    """I/N is the shard I of N, and is shown so."""
    shard = Shard(data.draw(st.integers(0, count - 1)), count)
    assert Shard.parse(str(shard)) == shard


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "write the shard as I/N, for example 0/3, not ''"),
        ("1", "write the shard as I/N"),
        ("1/2/3", "write the shard as I/N"),
        ("-1/2", "write the shard as I/N"),
        ("1/ 2", "write the shard as I/N"),
        ("²/3", "write the shard as I/N"),
        ("0/0", "write a number of shards from 1 to 100, not 0"),
        ("0/101", "write a number of shards from 1 to 100, not 101"),
        ("3/3", "shards are numbered from 0: of 3 the last is 2/3, not 3/3"),
    ],
)
def test_a_shard_that_cannot_be_is_refused_in_words(text, said):
    """Who mistypes it must not run as another shard."""
    with pytest.raises(ValueError, match=r"write|numbered") as refused:
        Shard.parse(text)
    assert str(refused.value).startswith(said)


def test_an_only_replica_has_the_lease_itself_and_each_shard_one_of_its_own():
    """So each shard has a standby of its own."""
    assert Shard().lease("backstop") == "backstop"
    assert Shard(0, 2).lease("backstop") == "backstop-0"
    assert Shard(1, 2).lease("backstop") == "backstop-1"


def test_the_leases_of_all_shards_are_those_that_each_has():
    """One where there is one shard, which keeps the plain name."""
    assert leases("backstop", 1) == ("backstop",)
    assert leases("backstop", 2) == ("backstop-0", "backstop-1")
