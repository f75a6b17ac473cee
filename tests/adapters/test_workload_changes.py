"""Restarts, pauses and promotions: one guarded write each, and none for what was done before."""

import copy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubernetes.aio.client.configuration import Configuration
from tests.adapters.workload_bodies import workload
from tests.fakeapi.faults import Fault
from tests.fakeapi.server import FakeApi

from backstop.adapters.kube import KubernetesApi
from backstop.adapters.workloads import statefulset
from backstop.adapters.workloads.mark import ACTION_ID, json_patch
from backstop.adapters.workloads.registry import KINDS, WATCHED, Workloads, facts_of
from backstop.adapters.workloads.revisions import Entry, newest, revision_facts
from backstop.adapters.workloads.template import RESTARTED_BY, adopted, template_fingerprint
from backstop.core.facts import ObjectRef, WorkloadFacts
from backstop.ports import ConflictError, NotFoundError, UnavailableError, UnsupportedError

Json = dict[str, Any]
COLLECTIONS = {
    "Deployment": "/apis/apps/v1/namespaces/demo/deployments",
    "StatefulSet": "/apis/apps/v1/namespaces/demo/statefulsets",
}
KUBECTL = "kubectl.kubernetes.io/restartedAt"
CHANGES = ["restart", "pause", "adopt"]


@pytest.fixture
async def fake():
    async with FakeApi() as server:
        yield server


@pytest.fixture
async def workloads(fake):
    api = KubernetesApi(Configuration(host=fake.url), deadline=2)
    yield Workloads(api)
    await api.close()


@pytest.fixture(params=sorted(COLLECTIONS))
def ref(request, fake):
    fake.add(COLLECTIONS[request.param], workload(request.param))
    fake.add(COLLECTIONS["Deployment"], workload("Deployment", "next"))
    return ObjectRef(request.param, "demo", "model")


def stored(fake: FakeApi, ref: ObjectRef) -> Json:
    collection = "apis/apps/v1/" + COLLECTIONS[ref.kind].rpartition("/")[2]
    return fake.store.objects[collection, ref.namespace, ref.name]


async def make(workloads: Workloads, change: str, facts: WorkloadFacts) -> WorkloadFacts:
    if change == "adopt":
        source = await workloads.read(ObjectRef("Deployment", "demo", "next"))
        return await workloads.adopt(facts, source, "act-1")
    done: WorkloadFacts = await getattr(workloads, change)(facts, "act-1")
    return done


# Fingerprints and templates


@given(
    st.dictionaries(st.text(max_size=3), st.text(max_size=3)),
    st.sets(st.sampled_from([RESTARTED_BY, KUBECTL])),
)
def test_a_restart_is_no_release(annotations, restarts):
    """Templates that differ by restarts alone are the same revision, and nothing is lost."""
    body = workload("Deployment")["spec"]["template"]
    body["metadata"].pop("annotations")
    if annotations:
        body["metadata"]["annotations"] = annotations
    again = copy.deepcopy(body)
    if restarts:
        again["metadata"].setdefault("annotations", {}).update(dict.fromkeys(restarts, "now"))
    before = copy.deepcopy(again)
    assert template_fingerprint(again) == template_fingerprint(body)
    assert again == before
    again["metadata"].setdefault("annotations", {})["release"] = "2"
    assert template_fingerprint(again) != template_fingerprint(body)


@pytest.mark.parametrize(
    ("own", "theirs", "expected"),
    [
        (None, None, None),
        ({"a": "1"}, None, None),
        ({"a": "1"}, {"b": "2", KUBECTL: "now"}, {"b": "2"}),
        (None, {RESTARTED_BY: "act-0"}, None),
    ],
)
def test_what_a_promotion_takes_over(own, theirs, expected):
    """The spec and the annotations, without restarts; the labels stay our own."""
    mine: Json = {"metadata": {"labels": {"app": "a"}}, "spec": {"old": 1}}
    source: Json = {"metadata": {"labels": {"app": "b"}}, "spec": {"new": 1}}
    if own:
        mine["metadata"]["annotations"] = own
    if theirs:
        source["metadata"]["annotations"] = theirs
    metadata = {"labels": {"app": "a"}} | ({"annotations": expected} if expected else {})
    assert adopted(mine, source) == {"metadata": metadata, "spec": {"new": 1}}


def test_restarts_are_one_revision():
    """Entries with equal fingerprints are one: the newest number, and the first time it was seen.

    The newest entry is the one whose pods may still run, so a rollback writes that.
    """
    plain = workload("Deployment")["spec"]["template"]
    again = copy.deepcopy(plain)
    again["metadata"]["annotations"][RESTARTED_BY] = "act-0"
    other = copy.deepcopy(plain)
    other["spec"]["containers"][0]["image"] = "x"
    entries = [
        statefulset.history([revision_body(name, number, body)])[0]
        for name, number, body in [("a", 1, plain), ("c", 3, again), ("b", 2, other)]
    ]
    found = revision_facts(entries)
    assert [(one.number, one.fingerprint) for one in found] == [
        (3, template_fingerprint(plain)),
        (2, template_fingerprint(other)),
    ]
    assert found[0].created == entries[0].created
    ref = ObjectRef("StatefulSet", "demo", "model")
    assert newest(entries, ref, template_fingerprint(plain)).template == again
    with pytest.raises(NotFoundError, match="revisionHistoryLimit"):
        newest(entries, ref, "0" * 16)


def revision_body(name: str, number: int, template: Json) -> Json:
    return {
        "metadata": {"name": name, "creationTimestamp": f"2026-11-01T10:00:0{number}Z"},
        "revision": number,
        "data": {"spec": {"template": template | {"$patch": "replace"}}},
    }


def test_what_a_controller_revision_keeps():
    """The directive of the patch that a ControllerRevision is, is no part of the template."""
    template = workload("StatefulSet")["spec"]["template"]
    body = revision_body("a", 1, template)
    before = copy.deepcopy(body)
    (entry,) = statefulset.history([body])
    assert isinstance(entry, Entry)
    assert (entry.name, entry.number, entry.template) == ("a", 1, template)
    assert body == before


# Writes


@pytest.mark.parametrize("change", CHANGES)
async def test_each_change_is_one_write(workloads, fake, ref, change):
    """The change and its mark arrive together, and nothing else differs."""
    before = copy.deepcopy(stored(fake, ref))
    done = await make(workloads, change, await workloads.read(ref))
    assert done.last_action == "act-1"
    assert fake.writes == [("patch", f"{COLLECTIONS[ref.kind]}/model")]
    after = copy.deepcopy(stored(fake, ref))
    assert after["metadata"]["annotations"].pop(ACTION_ID) == "act-1"
    for body in (before, after):
        for name in ("resourceVersion", "generation"):
            del body["metadata"][name]
    template = after["spec"]["template"]
    if change == "restart":
        assert template["metadata"]["annotations"].pop(RESTARTED_BY) == "act-1"
    elif change == "adopt":
        assert template["metadata"]["labels"] == {"app": "model", "tier": "a"}
    else:
        assert done.paused
        after["spec"].pop("paused" if ref.kind == "Deployment" else "updateStrategy")
    assert after == before


@pytest.mark.parametrize("change", CHANGES)
async def test_each_change_happens_once(workloads, fake, ref, change):
    """Asked again for the same action, there is nothing to write."""
    done = await make(workloads, change, await workloads.read(ref))
    assert await make(workloads, change, done) == done
    assert len(fake.writes) == 1


@pytest.mark.parametrize("annotations", [None, {"team": "ml"}])
@pytest.mark.parametrize("change", CHANGES)
async def test_foreign_annotations_stay(workloads, fake, ref, change, annotations):
    """Our mark is added beside what others noted, and made where nobody noted anything."""
    stored(fake, ref)["metadata"].pop("annotations")
    if annotations:
        stored(fake, ref)["metadata"]["annotations"] = dict(annotations)
    await make(workloads, change, await workloads.read(ref))
    expected = (annotations or {}) | {ACTION_ID: "act-1"}
    assert stored(fake, ref)["metadata"]["annotations"] == expected


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_on_stale_facts(workloads, fake, ref, change):
    """A workload that changed since it was read is not touched."""
    facts = await workloads.read(ref)
    stored(fake, ref)["metadata"]["resourceVersion"] = "9999"
    with pytest.raises(ConflictError):
        await make(workloads, change, facts)
    assert fake.writes == []


async def test_a_source_that_moved_on(workloads, fake, ref):
    """A version that was not on trial is not taken over."""
    facts = await workloads.read(ref)
    source = await workloads.read(ObjectRef("Deployment", "demo", "next"))
    stored(fake, source.ref)["spec"]["template"]["spec"]["containers"][0]["image"] = "x"
    with pytest.raises(ConflictError, match="the template of Deployment/next changed"):
        await workloads.adopt(facts, source, "act-1")
    assert fake.writes == []


async def test_an_interrupted_change_is_not_repeated(workloads, fake, ref):
    """A write whose answer was lost shows in the object, so that it is not sent again."""
    facts = await workloads.read(ref)
    fake.faults.append(Fault("patch", "model", reset="after"))
    with pytest.raises(UnavailableError):
        await workloads.restart(facts, "act-1")
    again = await workloads.read(ref)
    assert await workloads.restart(again, "act-1") == again
    assert len(fake.writes) == 1


def test_names_are_escaped():
    """The slash of our annotation does not split the pointer to it."""
    metadata = {"resourceVersion": "7", "annotations": {"x": "y"}}
    *_, mark = json_patch(metadata, "act-1")
    assert mark["path"] == "/metadata/annotations/backstop.dev~1action-id"


# The registry


async def test_unknown_kinds(workloads):
    """A kind that no adapter is for is refused, with the kinds that there are."""
    ref = ObjectRef("DaemonSet", "demo", "x")
    with pytest.raises(UnsupportedError, match=r"DaemonSet .* use one of Deployment, StatefulSet"):
        await workloads.read(ref)
    with pytest.raises(UnsupportedError, match="DaemonSet"):
        await workloads.revisions(ref)
    with pytest.raises(UnsupportedError, match="DaemonSet"):
        facts_of("DaemonSet", {})


@pytest.mark.parametrize("kind", sorted(COLLECTIONS))
async def test_watched_kinds(workloads, fake, kind):
    """What a watch delivers means the same as what a read returns."""
    body = fake.add(COLLECTIONS[kind], workload(kind))
    group, version, plural = WATCHED[kind]
    assert COLLECTIONS[kind] == f"/apis/{group}/{version}/namespaces/demo/{plural}"
    assert facts_of(kind, body) == await workloads.read(ObjectRef(kind, "demo", "model"))


def test_watched_kinds_have_facts():
    """A kind is watched exactly when one object tells all that is to be known of it."""
    assert set(WATCHED) == {name for name, kind in KINDS.items() if kind.facts is not None}


async def test_sources_need_a_template(workloads, ref):
    """A source of a kind without a pod template is refused."""
    facts = await workloads.read(ref)
    source = replace(facts, ref=ObjectRef("Other", "demo", "next"))
    with pytest.raises(UnsupportedError, match="Other/next has no pod template"):
        await workloads.adopt(facts, source, "act-1")
