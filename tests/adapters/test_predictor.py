"""What a revision of an InferenceService is, and which earlier one can be put back completely."""

import copy
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.adapters.foreign_bodies import SOURCE_URI, Json, inference_service, model_uri

from backstop.adapters.workloads.mark import ACTION_ID
from backstop.adapters.workloads.predictor import (
    fingerprint,
    is_made,
    past,
    restorable,
    taken_over,
)
from backstop.adapters.workloads.revisions import Entry
from backstop.adapters.workloads.template import RESTARTED_BY

SERVED = inference_service()
URI = ("model", "storageUri")
CUSTOM = {
    "containers": [
        {"name": "transformer-container", "image": "example.com/t:1"},
        {"name": "kserve-container", "image": "example.com/model:2"},
    ]
}


def changed(**predictor: Any) -> Json:
    body = copy.deepcopy(SERVED)
    body["spec"]["predictor"] |= predictor
    return body


def pods(version: int, image: str = "example.com/sklearn:v1", **spec: Any) -> Json:
    """Return the template that KServe makes, with all annotations that it hands down."""
    return {
        "metadata": {"labels": {"app": "m"}, "annotations": {SOURCE_URI: model_uri(version)}},
        "spec": {"containers": [{"name": "kserve-container", "image": image}], **spec},
    }


def history(*templates: Json) -> list[Entry]:
    """Return entries, oldest first."""
    times = [datetime(2026, 11, day, tzinfo=UTC) for day in range(1, len(templates) + 1)]
    return [
        Entry(f"m-{number}", number, template, time)
        for number, (template, time) in enumerate(zip(templates, times, strict=True), 1)
    ]


@pytest.mark.parametrize(
    ("predictor", "same"),
    [
        ({"canaryTrafficPercent": 10}, True),
        ({"minReplicas": 5, "maxReplicas": 9, "autoScaling": {"metrics": []}}, True),
        ({"name": "v2", "deploymentStrategy": {"type": "Recreate"}}, True),
        ({"annotations": {RESTARTED_BY: "a", ACTION_ID: "a"}}, True),
        ({"annotations": {"note": "a"}}, False),
        ({"timeout": 3}, False),
        ({"model": SERVED["spec"]["predictor"]["model"] | {"storageUri": "s3://other"}}, False),
        ({"model": SERVED["spec"]["predictor"]["model"] | {"resources": {}}}, False),
    ],
)
def test_what_a_revision_is(predictor, same):
    """Traffic, size, name and restarts make no revision; whatever else pods are made of does."""
    assert (fingerprint(changed(**predictor)) == fingerprint(SERVED)) is same


@pytest.mark.parametrize("component", ["transformer", "explainer"])
def test_other_components(component):
    """A transformer or an explainer is part of the revision, its size is not."""
    bodies = [copy.deepcopy(SERVED) for _ in range(3)]
    for body, image, replicas in zip(bodies, "aab", (1, 2, 2), strict=True):
        body["spec"][component] = {"containers": [{"image": image}], "minReplicas": replicas}
    first, bigger, other = map(fingerprint, bodies)
    assert first == bigger
    assert len({fingerprint(SERVED), first, other}) == 3


@pytest.mark.parametrize(
    ("predictor", "found"),
    [
        ({"model": {"storageUri": "s3://a"}}, {URI: "s3://a"}),
        (
            {"model": {"storageUri": "s3://a", "runtimeVersion": "v1", "image": "i"}},
            {URI: "s3://a", ("model", "runtimeVersion"): "v1", ("model", "image"): "i"},
        ),
        ({"sklearn": {"storageUri": "s3://a"}}, {("sklearn", "storageUri"): "s3://a"}),
        (CUSTOM, {("containers", 1, "image"): "example.com/model:2"}),
        ({"containers": [{"image": "x"}]}, {("containers", 0, "image"): "x"}),
        ({"containers": [{"name": "kserve-container"}]}, {}),
        ({"model": {"storage": {"path": "a"}}}, {}),
        ({}, {}),
    ],
)
def test_what_can_be_put_back(predictor, found):
    """It is what a pod template tells: the place of the model, and images that the spec sets."""
    assert restorable({"spec": {"predictor": predictor}}) == found


def test_a_complete_past():
    """A template that differs by the model alone has the fingerprint that its spec had."""
    before = changed(model=SERVED["spec"]["predictor"]["model"] | {"storageUri": model_uri(1)})
    newest, oldest = past(SERVED, history(pods(1), pods(2)))
    assert (newest.fingerprint, oldest.fingerprint) == (fingerprint(SERVED), fingerprint(before))
    assert (newest.complete, oldest.complete) == (True, True)
    assert oldest.values == {URI: model_uri(1)}
    assert (newest.number, oldest.number) == (2, 1)


def test_marks_make_no_difference():
    """Templates that differ by a restart or a mark of ours are complete all the same."""
    marked = pods(1)
    marked["metadata"]["annotations"] |= {ACTION_ID: "a", RESTARTED_BY: "b"}
    assert all(one.complete for one in past(SERVED, history(marked, pods(2))))


@pytest.mark.parametrize(
    "earlier",
    [
        pods(1, image="example.com/sklearn:v0"),
        pods(1, tolerations=[{"key": "gpu"}]),
        {"metadata": {}, "spec": {"containers": [{"name": "kserve-container"}]}},
    ],
)
def test_an_incomplete_past(earlier):
    """A template that differs elsewhere, or tells no model, goes by a fingerprint of its own."""
    newest, oldest = past(SERVED, history(earlier, pods(2)))
    assert newest.complete
    assert not oldest.complete
    assert oldest.fingerprint not in {newest.fingerprint, newest.spec_fingerprint, ""}


def test_a_custom_image():
    """Of a custom predictor the image comes back, of the container that serves."""
    body = {"spec": {"predictor": copy.deepcopy(CUSTOM)}}
    newest, oldest = past(
        body,
        history(
            pods(1, image="example.com/model:1"),
            pods(1, image="example.com/model:2"),
        ),
    )
    assert newest.fingerprint == fingerprint(body)
    assert oldest.complete
    assert oldest.values == {("containers", 1, "image"): "example.com/model:1"}


def test_a_runtime_version():
    """The tag of the image tells the runtime's version, where the spec sets one."""
    model = {"storageUri": model_uri(2), "runtimeVersion": "v2"}
    body = {"spec": {"predictor": {"model": model}}}
    _, oldest = past(
        body, history(pods(1, image="r:5000/sklearn:v1"), pods(2, image="r:5000/sklearn:v2"))
    )
    assert oldest.values == {URI: model_uri(1), ("model", "runtimeVersion"): "v1"}
    assert oldest.complete


def test_an_initializer_tells_the_model():
    """Where KServe puts the initializer into the template, its argument names the model."""
    old = pods(1, initContainers=[{"name": "storage-initializer", "args": [model_uri(1), "/mnt"]}])
    del old["metadata"]["annotations"]
    _, oldest = past(SERVED, history(old, pods(2)))
    assert (oldest.values, oldest.complete) == ({URI: model_uri(1)}, True)


def test_which_template_is_made():
    """A template counts as made of the spec once it carries its model and our last mark."""
    marked = changed(annotations={ACTION_ID: "a"})
    assert is_made(SERVED, pods(2))
    assert not is_made(SERVED, pods(1))
    assert not is_made(marked, pods(2))
    made = pods(2)
    made["metadata"]["annotations"][ACTION_ID] = "a"
    assert is_made(marked, made)
    assert not is_made(SERVED, made)


def test_taking_over():
    """The version moves over; name, size, traffic and annotations stay the own ones."""
    own = changed(name="v1", minReplicas=3, annotations={"a": "b"}, timeout=9)
    other = {"spec": {"predictor": {"name": "v2", "minReplicas": 1, **CUSTOM}}}
    assert taken_over(own, other) == [
        {"op": "remove", "path": "/spec/predictor/model"},
        {"op": "remove", "path": "/spec/predictor/timeout"},
        {"op": "add", "path": "/spec/predictor/containers", "value": CUSTOM["containers"]},
    ]
