"""References are read in the background, seldom, by name; what is wrong with one is a sentence."""

import asyncio
import json
from typing import Any

import pytest

from backstop.core.measurement import Missing, UnknownReason
from backstop.core.reference import KEY, Reference
from backstop.ports import ForbiddenError, NotFoundError, OutsideError, UnavailableError
from backstop.runtime.glance import glance
from backstop.runtime.record import Record, record_of
from backstop.runtime.references import AT_ONCE, FORGOTTEN, KEPT, References

PATH = "/api/v1/namespaces/demo/configmaps/training"
HISTOGRAM = {"edges": [1, 2], "counts": [3, 4, 5]}


class Api:
    """One ConfigMap, or an error in its place; the paths that were read."""

    def __init__(self, answer: Any) -> None:
        self.answer, self.read = answer, []

    async def get(self, path: str) -> Any:
        self.read.append(path)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Now:
    def __init__(self) -> None:
        self.at = 1000.0

    def now(self) -> float:
        return self.at


def config_map(document: object, version: str = "1") -> dict[str, Any]:
    return {"metadata": {"resourceVersion": version}, "data": {KEY: json.dumps(document)}}


def record(*signals: dict[str, Any]) -> Record:
    """Return a monitor with one signal of drift, unless others are given."""
    drift = {
        "name": "inputs",
        "drift": {"features": {"buckets": "b"}, "reference": {"configMap": "training"}},
    }
    body = {
        "metadata": {
            "name": "fraud",
            "namespace": "demo",
            "uid": "u",
            "generation": 1,
            "resourceVersion": "1",
        },
        "spec": {
            "target": {"name": "fraud", "service": "fraud", "metricLabels": {"app": "fraud"}},
            "signals": list(signals) or [drift],
        },
    }
    return record_of(body, {})


async def known(references: References, one: Record) -> Any:
    """Return what is known of the only ConfigMap once nothing is being read."""
    references.of(one)
    await references.settle()
    (found,) = references.of(one).values()
    return found


async def test_a_reference_is_read_from_the_monitors_namespace():
    """By its name, without waiting: the first look does not know it yet."""
    api, one = Api(config_map({"features": {"amount": HISTOGRAM}})), record()
    assert one.invalid is None
    references = References(api, Now())
    assert references.of(one) == {}
    await references.settle()
    found = references.of(one)["training"]
    assert isinstance(found, Reference)
    assert list(found.features) == ["amount"]
    assert api.read == [PATH]


async def test_a_monitor_without_references_reads_nothing():
    """No call, and an empty mapping."""
    api = Api(config_map({}))
    errors = {"requests": "r", "errors": "e"}
    one = record({"name": "errors", "threshold": {"errors": errors, "max": "5%"}})
    references = References(api, Now())
    assert references.of(one) == {}
    await references.settle()
    assert api.read == []


async def test_a_config_map_is_read_again_after_a_minute():
    """Not before; meanwhile what is known is used, and an unchanged one is not parsed again."""
    api, clock = Api(config_map({"features": {"amount": HISTOGRAM}})), Now()
    references, one = References(api, clock), record()
    first = await known(references, one)
    clock.at += KEPT - 1
    assert await known(references, one) is first
    assert len(api.read) == 1
    clock.at += 1
    assert await known(references, one) is first
    assert len(api.read) == 2
    api.answer = config_map({"features": {"age": HISTOGRAM}}, "2")
    clock.at += KEPT
    assert references.of(one)["training"] is first
    assert list((await known(references, one)).features) == ["age"]


async def test_what_nobody_asks_for_is_forgotten():
    """After an hour it is read as if it were new."""
    clock = Now()
    references, one = References(Api(config_map({})), clock), record()
    await known(references, one)
    clock.at += FORGOTTEN
    assert references.of(one) == {}
    await references.settle()


@pytest.mark.parametrize(
    ("error", "reason", "said"),
    [
        (
            NotFoundError("404"),
            UnknownReason.NO_DATA,
            (
                "ConfigMap training does not exist in namespace demo; create it with"
                " `backstop reference build`, or correct its name"
            ),
        ),
        (
            ForbiddenError("may not get configmaps"),
            UnknownReason.SOURCE_DOWN,
            "ConfigMap training may not be read: may not get configmaps",
        ),
        (
            UnavailableError("timed out"),
            UnknownReason.SOURCE_DOWN,
            "ConfigMap training cannot be read: timed out",
        ),
        (
            OutsideError("odd"),
            UnknownReason.SOURCE_DOWN,
            "ConfigMap training cannot be read: odd",
        ),
        (
            RuntimeError("secret"),
            UnknownReason.SOURCE_DOWN,
            "ConfigMap training cannot be read because of a bug in Backstop",
        ),
    ],
)
async def test_what_cannot_be_read_is_a_sentence(error, reason, said):
    """It names the ConfigMap, and a look goes on."""
    found = await known(References(Api(error), Now()), record())
    assert found == Missing(reason, said)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "ConfigMap training: it has no key reference.json"),
        ({"data": {"other": "x"}}, "ConfigMap training: it has no key reference.json"),
        ({"data": {KEY: "{"}}, "ConfigMap training: reference.json is damaged"),
        (config_map({"format": 2}), "ConfigMap training: reference.json is damaged at format"),
    ],
)
async def test_a_damaged_one_is_a_sentence(body, said):
    """Whatever it holds; nothing of its content is shown."""
    found = await known(References(Api(body), Now()), record())
    assert isinstance(found, Missing)
    assert found.reason is UnknownReason.BAD_QUERY
    assert found.why.startswith(said)


async def test_an_outage_keeps_what_was_read_a_deletion_does_not():
    """An API server that cannot be reached says nothing about the ConfigMap."""
    api, clock = Api(config_map({"features": {"amount": HISTOGRAM}})), Now()
    references, one = References(api, clock), record()
    first = await known(references, one)
    api.answer, clock.at = UnavailableError("timed out"), clock.at + KEPT
    assert await known(references, one) is first
    api.answer, clock.at = NotFoundError("404"), clock.at + KEPT
    assert isinstance(await known(references, one), Missing)


async def test_a_look_holds_only_for_what_it_was_held_against():
    """A reference that was read since asks for another look."""
    one, now = record(), 2000.0
    glances = glance([one], {}, now)
    before = glances[one.key].sight
    assert glances[one.key].holds_for(before._replace(references={}))
    read = Missing(UnknownReason.NO_DATA, "gone")
    assert not glances[one.key].holds_for(before._replace(references={"training": read}))
    one.compared_with = {"training": read}
    assert glance([one], {}, now)[one.key].sight.references == {"training": read}


async def test_two_looks_at_once_read_once():
    """A ConfigMap that is being read is not asked for again."""
    api, one = Api(config_map({})), record()
    references = References(api, Now())
    references.of(one)
    references.of(one)
    await references.settle()
    assert api.read == [PATH]


class Busy(Api):
    """An API server that counts how many reads are under way."""

    def __init__(self, answer: Any) -> None:
        super().__init__(answer)
        self.now = self.most = 0

    async def get(self, path: str) -> Any:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        self.now -= 1
        return await super().get(path)


async def test_few_are_read_at_the_same_time():
    """Thousands at once would keep the lease, and writes that cannot wait, from being sent."""
    api = Busy(config_map({"features": {"amount": HISTOGRAM}}))
    references = References(api, Now())
    for number in range(100):
        drift = {
            "name": "inputs",
            "drift": {"features": {"buckets": "b"}, "reference": {"configMap": f"r{number}"}},
        }
        references.of(record(drift))
    await references.settle()
    assert len(api.read) == 100
    assert api.most == AT_ONCE


class Walked(dict[Any, Any]):
    """A dict that counts how often all of it is walked through."""

    times = 0

    def items(self) -> Any:
        self.times += 1
        return super().items()


async def test_a_look_does_not_walk_through_all_references():
    """With 10,000 monitors all others would wait for seconds; once a minute is enough."""
    now = Now()
    references = References(Api(config_map({"features": {"amount": HISTOGRAM}})), now)
    references._kept = kept = Walked()
    for _ in range(100):
        references.of(record())
    now.at += KEPT
    references.of(record())
    await references.settle()
    assert kept.times == 2
