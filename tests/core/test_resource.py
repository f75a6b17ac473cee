"""Saturation and throughput: the workload against what it was given, and what it is used to."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from promql_parser import parse
from pydantic import ValidationError
from tests.core.build import T0, series

from backstop.api.modelmonitor import Signal
from backstop.core.measurement import Measurement, Missing, Pillar, UnknownReason
from backstop.core.presets.preset import PresetError
from backstop.core.presets.registry import presets
from backstop.core.promql import PromqlError
from backstop.core.signals.registry import kinds
from backstop.core.signals.resource import Resource
from backstop.core.signals.rule import Asked, OnBreach, Subject
from backstop.core.tally import tally

GONE, FEW = UnknownReason.NO_DATA, UnknownReason.INSUFFICIENT_DATA
HEALTHY, BREACHED = False, True
WINDOW = 300.0
FRAUD = Subject({"app": "fraud"}, None, "demo", "fraud")
A, B, C = "fraud-6b4f-abcde", "fraud-6b4f-fghij", "fraud-6b4f-klmno"
OFFSETS = ("7d", "14d", "21d", "28d")

CPU = {"cpu": {}, "max": "90%"}
MEMORY = {"memory": {}, "max": "90%"}
GPU = {"gpu": {}, "max": "90%"}
GPU_MEMORY = {"gpuMemory": {}, "max": "90%"}
QUEUE = {"queue": {"gauge": "q"}, "max": "20"}
THROUGHPUT = {"throughput": {"requests": "r"}, "min": "50%"}


def rule(kind, **changes) -> Resource:
    return Resource.model_validate({**kind, **changes})


def container(value: float, pod: str = A, name: str = "model"):
    return series([value], start=T0, pod=pod, container=name)


def gpu(value: float, pod: str = A, number: str = "0"):
    return series([value], start=T0, pod=pod, gpu=number)


def measure(one_rule, **answers):
    asked = Asked(answers, -1, -math.inf, T0, WINDOW, FRAUD)
    return one_rule.measure(asked, tally([], []))


def flow(now, *past, one_rule=None):
    """Return what throughput says to these requests in the window and in past ones."""
    past_ones = dict(zip(OFFSETS, (*past, *([[]] * (4 - len(past)))), strict=True))
    found = {role: [series([v]) for v in values] for role, values in past_ones.items()}
    return measure(one_rule or rule(THROUGHPUT), now=[series([v]) for v in now], **found)


def verdict(measured):
    return measured.breached if isinstance(measured, Measurement) else measured.reason


def asks(kind, subject: Subject = FRAUD, **changes):
    questions = rule(kind, **changes).questions(subject, WINDOW)
    return {role: question.promql for role, question in questions.items()}


# What is asked

_OF_FRAUD = 'namespace="demo",pod=~"fraud-[a-z0-9]+(-[a-z0-9]+)?"'


def test_node_agents_are_asked_about_the_pods_of_the_workload():
    """By namespace and name, as their series do not have the labels of the model server."""
    assert {**asks(CPU), "memory": asks(MEMORY)["usage"]} == {
        "usage": (
            "max by (pod, container) (rate(container_cpu_usage_seconds_total"
            f'{{container!="",container!="POD",{_OF_FRAUD}}}[300000ms]))'
        ),
        "limit": (
            "max by (pod, container) (kube_pod_container_resource_limits"
            f'{{resource="cpu",{_OF_FRAUD}}})'
        ),
        "memory": (
            "max by (pod, container) (avg_over_time(container_memory_working_set_bytes"
            f'{{container!="",container!="POD",{_OF_FRAUD}}}[300000ms]))'
        ),
    }
    assert asks(GPU)["utilization"] == (
        "max by (pod, gpu, GPU_I_ID) (avg_over_time(DCGM_FI_DEV_GPU_UTIL"
        f"{{{_OF_FRAUD}}}[300000ms]))"
    )
    assert [text.partition("{")[0].rpartition("(")[2] for text in asks(GPU_MEMORY).values()] == [
        "DCGM_FI_DEV_FB_USED",
        "DCGM_FI_DEV_FB_FREE",
    ]


def test_the_server_is_asked_by_the_labels_of_the_monitor():
    """Queue and throughput are its own numbers."""
    assert asks(QUEUE) == {
        "queue": 'sum by (pod, instance) (avg_over_time(q{app="fraud"}[300000ms]))'
    }
    assert asks(THROUGHPUT)["now"] == 'sum(increase(r{app="fraud"}[300000ms]))'
    assert asks(THROUGHPUT)["21d"] == 'sum(increase(r{app="fraud"}[300000ms] offset 21d))'
    assert set(asks(THROUGHPUT)) == {"now", *OFFSETS}


def test_selectors_and_labels_can_be_others():
    """Where Prometheus keeps the labels of an exporter apart, or metrics have other names."""
    found = asks(
        {
            "gpu": {
                "utilization": 'u{x="{}"}',
                "podLabel": "exported_pod",
                "namespaceLabel": "exported_namespace",
            },
            "max": "90%",
        }
    )["utilization"]
    assert found == (
        'max by (exported_pod, gpu, GPU_I_ID) (avg_over_time(u{x="{}",exported_namespace="demo",'
        'exported_pod=~"fraud-[a-z0-9]+(-[a-z0-9]+)?"}[300000ms]))'
    )


@pytest.mark.parametrize(
    ("pod", "is_own"),
    [
        ("fraud.v1-6b4f9c-abcde", True),
        ("fraud.v1-0", True),
        ("fraudxv1-6b4f9c-abcde", False),
        ("fraud.v1-next-6b4f9c-abcde", False),
        ("fraud.v1", False),
        ("other-fraud.v1-6b4f9c-abcde", False),
    ],
)
def test_only_pods_of_the_workload_are_meant(pod, is_own):
    """The name is no pattern: a dot is a dot, and a longer name is another workload."""
    text = asks(CPU, Subject({}, None, "demo", "fraud.v1"))["limit"]
    assert parse(text)
    (pattern,) = re.findall(r'pod=~"([^"]*)"', text)
    assert bool(re.fullmatch(pattern, pod)) is is_own


@pytest.mark.parametrize("kind", [CPU, MEMORY, GPU, GPU_MEMORY, QUEUE, THROUGHPUT])
def test_an_answer_is_good_for_a_tenth_of_the_window(kind):
    """The source computes, and a mean over five minutes hardly changes in half a minute."""
    questions = rule(kind).questions(FRAUD, WINDOW).values()
    assert {(question.keep, question.raw) for question in questions} == {(30.0, False)}
    assert all(parse(question.promql) for question in questions)
    assert rule(kind).pillar is Pillar.SYSTEM


@pytest.mark.parametrize(
    "kind",
    [
        {"cpu": {"usage": "sum(a)"}, "max": "90%"},
        {"memory": {"limit": "a > 1"}, "max": "90%"},
        {"queue": {"gauge": "a + b"}, "max": "9"},
        {"throughput": {"requests": "rate(a[5m])"}, "min": "50%"},
    ],
)
def test_only_plain_selectors_are_asked(kind):
    """An expression in place of a selector is refused."""
    with pytest.raises(PromqlError, match="plain metric selector"):
        asks(kind)


def test_presets_know_queue_and_requests():
    """What a server does not export is said; what is written stays."""
    empty = {"queue": {}, "max": "20"}
    queue = rule(empty).resolved(presets()["vllm"]).queue
    assert queue is not None
    assert (queue.gauge, queue.waiting) == ("vllm:num_requests_waiting", True)
    counter = {"throughput": {}, "min": "50%"}
    throughput = rule(counter).resolved(presets()["backstop"]).throughput
    assert throughput is not None
    assert throughput.requests == "model_requests_total"
    resolved = rule(counter).resolved(presets()["backstop"]).questions(FRAUD, WINDOW)
    assert "model_requests_total" in resolved["now"].promql
    for kind in (CPU, QUEUE, THROUGHPUT):
        assert rule(kind).resolved(None) == rule(kind)
    for kind in (empty, counter):
        with pytest.raises(PresetError, match="give the monitor a preset"):
            rule(kind).resolved(None)


# CPU and memory


@pytest.mark.parametrize("kind", [CPU, MEMORY])
@pytest.mark.parametrize(
    ("usage", "limits", "expected"),
    [
        ([0.5], [1.0], HEALTHY),
        ([0.9], [1.0], HEALTHY),
        ([0.95], [1.0], BREACHED),
        ([1.5], [1.0], BREACHED),
        ([0.0], [1.0], HEALTHY),
        ([], [1.0], GONE),
        ([0.5], [], GONE),
        ([], [], GONE),
        ([0.5], [0.0], GONE),
        ([math.nan], [1.0], GONE),
        ([0.5], [math.nan], GONE),
        ([math.inf], [1.0], GONE),
        ([0.5], [math.inf], GONE),
        ([-0.1], [1.0], GONE),
        ([0.5], [-1.0], GONE),
        ([1e308], [1e-308], GONE),
        ([1e308], [1e308], BREACHED),
        # Scraped twice: the largest counts, of usage and of the limit.
        ([0.1, 0.95], [1.0, 0.5], BREACHED),
    ],
)
def test_use_of_a_limit(kind, usage, limits, expected):
    """Above 90 % of the limit is a breach; without both numbers nothing is known."""
    measured = measure(
        rule(kind), usage=[container(v) for v in usage], limit=[container(v) for v in limits]
    )
    assert verdict(measured) == expected


def test_a_missing_limit_is_said():
    """Which limit, and of which containers; a share of nothing is not invented."""
    sidecars = [container(0.1, name=f"c{n}") for n in range(5)]
    cpu = measure(rule(CPU), usage=[container(0.1), container(0.1, B)], limit=[])
    memory = measure(rule(MEMORY), usage=sidecars, limit=[])
    assert cpu == Missing(
        GONE, "no CPU limit is set for model of fraud, so nobody can say how full it is"
    )
    assert memory.why.startswith("no memory limit is set for c0, c1, c2 and 2 more of fraud,")


def test_a_sidecar_without_a_limit_hides_nothing():
    """The containers that have one are judged by it, each by its own."""
    measured = measure(
        rule(CPU),
        usage=[container(0.95), container(9.0, name="proxy"), container(0.1, name="log")],
        limit=[container(1.0), container(1.0, name="log")],
    )
    assert isinstance(measured, Measurement)
    assert (measured.value, measured.breached) == (0.95, True)


def test_the_fullest_pod_or_the_mean():
    """A pod is as full as its fullest container; `over` says what is held against the limit."""
    found = {
        "usage": [container(0.95), container(0.2, A, "log"), container(0.5, B), container(0.35, C)],
        "limit": [container(1.0), container(1.0, A, "log"), container(1.0, B), container(1.0, C)],
    }
    worst, mean = measure(rule(CPU), **found), measure(rule(CPU, over="Mean"), **found)
    assert worst.why == (
        f"CPU at 95 % of its limit on {A} model, the fullest of 3 pods, allowed at most 90%"
    )
    assert mean.why == "CPU at 60 % of its limit on average over 3 pods, allowed at most 90%"
    assert (verdict(worst), verdict(mean)) == (BREACHED, HEALTHY)


@given(st.lists(st.floats(0.0, 2.0), min_size=1, max_size=8))
def test_the_mean_is_never_above_the_fullest(levels):
    """Whatever the pods, and a breach of the mean is one of the fullest pod too."""
    found = {
        "usage": [container(level, f"p{n}") for n, level in enumerate(levels)],
        "limit": [container(1.0, f"p{n}") for n in range(len(levels))],
    }
    worst, mean = measure(rule(MEMORY), **found), measure(rule(MEMORY, over="Mean"), **found)
    assert isinstance(worst, Measurement)
    assert isinstance(mean, Measurement)
    assert worst.value == max(levels)
    assert mean.value <= worst.value * (1.0 + 1e-12)


# GPUs


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([50.0], HEALTHY),
        ([90.0], HEALTHY),
        ([97.0], BREACHED),
        ([50.0, 97.0], BREACHED),
        ([0.0], HEALTHY),
        ([], GONE),
        ([math.nan], GONE),
        ([97.0, math.nan], GONE),
        ([math.inf], GONE),
        ([-1.0], GONE),
        ([1e308], BREACHED),
    ],
)
def test_gpu_utilization(values, expected):
    """In percent, as the exporter has it; one GPU that is no number makes the pod unknown."""
    found = [gpu(value, number=str(n)) for n, value in enumerate(values)]
    assert verdict(measure(rule(GPU), utilization=found)) == expected


@pytest.mark.parametrize(
    ("used", "free", "expected"),
    [
        ([10.0], [10.0], HEALTHY),
        ([19.0], [1.0], BREACHED),
        ([0.0], [10.0], HEALTHY),
        ([10.0], [0.0], BREACHED),
        ([0.0], [0.0], GONE),
        ([], [10.0], GONE),
        ([10.0], [], GONE),
        ([math.nan], [10.0], GONE),
        ([10.0], [math.nan], GONE),
        ([math.inf], [10.0], GONE),
        ([10.0], [math.inf], GONE),
        ([-1.0], [10.0], GONE),
        ([10.0], [-1.0], GONE),
        ([1e308], [1e308], GONE),
        ([1e308], [1.0], BREACHED),
        ([1.0, 19.0], [19.0, 1.0], BREACHED),
    ],
)
def test_gpu_memory(used, free, expected):
    """What is used of used and free together, GPU by GPU."""
    measured = measure(
        rule(GPU_MEMORY),
        used=[gpu(value, number=str(n)) for n, value in enumerate(used)],
        free=[gpu(value, number=str(n)) for n, value in enumerate(free)],
    )
    assert verdict(measured) == expected


def test_gpu_memory_of_different_gpus_makes_no_share():
    """Used of one and free of another are not added."""
    measured = measure(rule(GPU_MEMORY), used=[gpu(1.0, number="0")], free=[gpu(1.0, number="1")])
    assert measured == Missing(
        GONE, "used and free GPU memory are of different GPUs, or make no sum"
    )


def test_gpus_say_their_numbers():
    """The pod and the number of the GPU, or the mean of the pods' fullest."""
    busy = measure(rule(GPU), utilization=[gpu(97.0, number="1"), gpu(20.0)])
    full = measure(
        rule(GPU_MEMORY, over="Mean"), used=[gpu(9.5), gpu(5.0, B)], free=[gpu(0.5), gpu(5.0, B)]
    )
    assert busy.why == (f"GPU utilization 97 % on {A} 1, the fullest of 1 pod, allowed at most 90%")
    assert full.why == "GPU memory 72.5 % full on average over 2 pods, allowed at most 90%"


# Queues


@pytest.mark.parametrize(
    ("values", "over", "expected"),
    [
        ([20.0], "Worst", HEALTHY),
        ([21.0], "Worst", BREACHED),
        ([5.0, 31.0], "Worst", BREACHED),
        ([5.0, 31.0], "Mean", HEALTHY),
        ([0.0], "Worst", HEALTHY),
        ([], "Worst", GONE),
        ([math.nan], "Worst", GONE),
        ([5.0, math.nan], "Worst", GONE),
        ([math.inf], "Worst", GONE),
        ([-1.0], "Worst", GONE),
        ([1e308, 1e308], "Worst", BREACHED),
        ([1e308, 1e308], "Mean", GONE),
    ],
)
def test_queues(values, over, expected):
    """The longest of any pod, or their mean, against a number."""
    found = [series([value], pod=f"p{n}") for n, value in enumerate(values)]
    assert verdict(measure(rule(QUEUE, over=over), queue=found)) == expected


def test_queues_say_what_is_counted():
    """Requests that wait, or all in progress; by pod, or by address where there is no pod."""
    by_address = series([31.0], pod="", instance="10.0.0.1:80")
    waiting = measure(rule(QUEUE), queue=[series([5.0]), by_address])
    busy = measure(rule(QUEUE, queue={"gauge": "q", "waiting": False}), queue=[series([1250.0])])
    assert waiting.why == (
        "31 requests waiting on 10.0.0.1:80, the fullest of 2 pods, allowed at most 20"
    )
    assert busy.why == "1,250 requests in progress on a, the fullest of 1 pod, allowed at most 20"


# Throughput


@pytest.mark.parametrize(
    ("now", "past", "expected"),
    [
        ([1000.0], [[1000.0]] * 4, HEALTHY),
        ([500.0], [[1000.0]] * 4, HEALTHY),
        ([499.0], [[1000.0]] * 4, BREACHED),
        ([9000.0], [[1000.0]] * 4, HEALTHY),
        ([0.0], [[1000.0]] * 4, BREACHED),
        # The median forgets one week that was an incident, or a sale, itself.
        ([400.0], [[1000.0], [1000.0], [10.0], [1000.0]], BREACHED),
        ([600.0], [[1000.0], [1000.0], [90_000.0], [1000.0]], HEALTHY),
        ([400.0], [[1000.0]], BREACHED),
        ([400.0], [[], [math.nan], [math.inf], [1000.0]], BREACHED),
        ([], [[1000.0]] * 4, GONE),
        ([math.nan], [[1000.0]] * 4, GONE),
        ([math.inf], [[1000.0]] * 4, GONE),
        ([-1.0], [[1000.0]] * 4, GONE),
        ([1e308], [[1000.0]] * 4, GONE),
        ([5.0, 5.0], [[1000.0]] * 4, GONE),
        ([400.0], [], GONE),
        ([400.0], [[math.nan], [math.inf], [-5.0], [1e308]], GONE),
        ([400.0], [[5.0, 5.0]] * 4, GONE),
        ([0.0], [[0.0]] * 4, FEW),
        ([0.0], [[99.0]] * 4, FEW),
        ([0.0], [[100.0]] * 4, BREACHED),
    ],
)
def test_throughput_against_the_same_time_in_the_past(now, past, expected):
    """Below half of the usual is a breach; no requests, no series and no past are told apart."""
    assert verdict(flow(now, *past)) == expected


def test_throughput_says_its_numbers():
    """Both rates, the share, and how many pasts there are; or what is missing."""
    low = flow([300.0], [1500.0], [1500.0], [1400.0])
    assert low.why == (
        "1 requests per second, 20 % of the usual 5 (median of 3 at this time in the past),"
        " allowed at least 50%"
    )
    assert flow([300.0]).why == "nothing is known of requests 7d, 14d, 21d, 28d ago"
    assert flow([300.0], [42.0]).why == "42 requests are usual in the window, need 100"
    assert flow([]).why == "no series of requests"


def test_the_past_is_as_written():
    """Other seasons than weeks, and another minimum."""
    daily = rule(THROUGHPUT, throughput={"requests": "r", "offsets": ["1d"], "minEvents": 10})
    measured = measure(daily, now=[series([4.0])], **{"1d": [series([10.0])]})
    assert verdict(measured) is BREACHED


# The kind


def test_a_breach_is_reported_unless_the_signal_says_otherwise():
    """A full pod is a cause that users may not feel yet."""
    signal = {"name": "cpu", "resource": CPU}
    assert kinds()["resource"] is Resource
    assert Signal.model_validate(signal).leads_to is OnBreach.REPORT
    assert Signal.model_validate({**signal, "onBreach": "Act"}).leads_to is OnBreach.ACT


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ({"max": "90%"}, "a resource needs exactly one of cpu, memory, gpu, gpuMemory, queue"),
        ({**CPU, "memory": {}}, "a resource needs exactly one of"),
        ({"cpu": {}}, "cpu, memory, gpu and gpuMemory need max, a percentage"),
        ({"gpuMemory": {}, "max": "20"}, "need max, a percentage"),
        ({"gpu": {}, "max": "5m"}, "need max, a percentage"),
        ({**CPU, "min": "5%"}, "throughput needs min and has no max"),
        ({"queue": {}}, "queue needs max, a number in quotes"),
        ({"queue": {}, "max": "20%"}, "queue needs max, a number in quotes"),
        ({"queue": {}, "max": "20s"}, "queue needs max, a number in quotes"),
        ({"queue": {}, "max": "-1"}, "queue needs max, a number in quotes"),
        ({"throughput": {}}, "throughput needs min and has no max"),
        ({**THROUGHPUT, "max": "90%"}, "throughput needs min and has no max"),
        ({"throughput": {"offsets": []}, "min": "50%"}, "at least 1 item"),
        ({"throughput": {"minEvents": 0}, "min": "50%"}, "greater than or equal to 1"),
        ({**CPU, "over": "Best"}, "'Worst' or 'Mean'"),
    ],
)
def test_what_cannot_be_meant_is_refused(kind, said):
    """With a sentence that says what to write."""
    with pytest.raises(ValidationError, match=said):
        rule(kind)
