"""Confined questions: whatever a monitor asks, it reads only the series of its own namespace."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.core.build import spec

from backstop.api.words import Arm
from backstop.core import promql
from backstop.core.inquiry import inquiries
from backstop.core.presets.registry import presets
from backstop.core.promql import PromqlError, fence
from backstop.core.signals.registry import kinds

PAGES = Path(__file__).parents[2] / "docs" / "spec" / "signals"
OURS = ("namespace", "MatchOp.Equal", "ours")
THEIRS = ("namespace", "MatchOp.Equal", "theirs")


def selectors(expression: str) -> list[set[tuple[str, str, str]]]:
    """Return the matchers of each selector in `expression`, as the parser reads them."""
    found: list[set[tuple[str, str, str]]] = []

    def note(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            assert not node.matchers.or_matchers
            found.append({(m.name, str(m.op), m.value) for m in node.matchers.matchers})

    promql_parser.walk(promql_parser.parse(expression), pre_visit=note)
    return found


def documented() -> list[dict[str, Any]]:
    """Return the signals in the examples of the reference pages, one page for each kind."""
    return [
        signal
        for page in sorted(PAGES.glob("*.md"))
        for text in re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
        for signal in yaml.safe_load(text)
    ]


def asked(signal: Mapping[str, Any], tenant_label: str | None, **changes: Any) -> set[str]:
    """Return the PromQL of all questions of a monitor with this signal in the namespace `ours`."""
    monitored = spec(preset="backstop", signals=[signal], **changes)
    found = inquiries(monitored, "ours", 1.7e9, tenant_label)
    return {one.promql for inquiry in found.values() for one in inquiry.questions.values()}


def arm(name: str, **labels: str) -> dict[str, Any]:
    return {"name": name, "service": name, "metricLabels": {"app": name, **labels}}


def without(matcher: tuple[str, str, str], questions: set[str]) -> list[list[list[Any]]]:
    """Return the other matchers of each selector of each question, in a fixed order."""
    return sorted(
        [sorted(matchers - {matcher}) for matchers in selectors(question)] for question in questions
    )


def test_the_examples_are_of_every_kind():
    """A kind that is added must be documented, and is then tested here."""
    assert {kind for signal in documented() for kind in signal.keys() & kinds().keys()} == set(
        kinds()
    )


@pytest.mark.parametrize("window", [None, "500ms", "1500ms", "90s", "60d"])
@pytest.mark.parametrize("signal", documented(), ids=lambda one: one["name"])
def test_each_question_of_each_kind_is_confined(signal: dict[str, Any], window: str | None):
    """Raw samples, expressions, both arms, the past: one matcher more in every selector.

    Nothing is taken away: labels that name another namespace stay beside it.
    """
    signal = (
        signal if window is None or signal.keys() & {"burnRate"} else signal | {"window": window}
    )
    arms = {
        "target": arm("fraud", namespace="theirs"),
        "candidate": arm("next", namespace="theirs"),
    }
    try:
        free = asked(signal, None, **arms)
    except PromqlError:
        pytest.skip("the window does not fit the kind")
    confined = asked(signal, "namespace", **arms)
    assert confined
    assert len(confined) == len(free)
    for question in confined:
        assert selectors(question)
        assert all(OURS in matchers for matchers in selectors(question)), question
    assert without(OURS, confined) == without(OURS, free)


@pytest.mark.parametrize("preset", sorted(presets()))
def test_what_a_preset_asks_is_confined(preset: str):
    """The metrics of model servers are read with the same matcher."""
    confined = set[str]()
    for signal in documented():
        try:
            found = inquiries(spec(preset=preset, signals=[signal]), "ours", 1.7e9, "namespace")
        except ValueError:
            continue  # the preset does not know this number
        confined |= {one.promql for each in found.values() for one in each.questions.values()}
    assert confined
    assert all(OURS in matchers for question in confined for matchers in selectors(question))


def test_without_a_label_nothing_is_added():
    """A source that is not confined is asked what the spec says."""
    (signal,) = (one for one in documented() if one["name"] == "approvals")
    assert asked(signal, None) == {'loan_approvals_total{app="fraud"}[600000ms]'}
    assert asked(signal, "ns") == {'loan_approvals_total{app="fraud",ns="ours"}[10m]'}


def test_asking_for_another_namespace_matches_nothing():
    """Both matchers are sent, so that no series can have the label that both require."""
    (signal,) = (one for one in documented() if one["name"] == "approvals")
    (question,) = asked(signal, "namespace", target=arm("fraud", namespace="theirs"))
    assert question == (
        'loan_approvals_total{app="fraud",namespace="theirs",namespace="ours"}[10m]'
    )


def test_monitors_of_two_namespaces_never_share_an_answer():
    """Equal questions are asked once; those of two namespaces are not equal."""
    monitored = spec()
    one, other = (
        inquiries(monitored, where, None, "namespace")[("errors", Arm.TARGET)].questions
        for where in ("ours", "theirs")
    )
    assert not {q.promql for q in one.values()} & {q.promql for q in other.values()}


ESCAPES = [
    'secret{namespace="theirs"}',
    'secret{namespace!="ours"}',
    'secret{namespace=~".*"}',
    'secret{namespace="theirs" or namespace=~".+"}',
    'secret{"namespace"="theirs"}',
    '{__name__="secret"}',
    '{__name__=~".+"}',
    '{"secret"}',
    "secret # {namespace='ours'}",
    "secret offset -1w @ 1700000000",
    "max_over_time(secret[1h:1m])",
    "max_over_time((secret or other)[1h:1m] @ end())",
    'label_replace(secret, "namespace", "ours", "", "")',
    'sum by ("x) (up) or secret #") (up)',
    'sum without ("x) (up) or secret #") (up)',
    'up * on ("x) secret or up * on (y") up',
    'up * ignoring ("x) secret or up * on (y") up',
    'up * on (x) group_left ("y) secret or up * on (x") up',
    "sum by (backstop_placeholder_0_) (up)",
    'count_values("x\\") or secret or count_values(\\"y", up)',
    'label_join(up, "a", "\\"), secret, (\\"", "b")',
    'up{a="\\"} or secret{b=\\""}',
    "up{a='x\"} or secret{b=\"'}",
    'up{a=`x\\"} or secret{b="`}',
    'up{"a\\"} or secret{b"="x"}',
    "info(up)",
    'info(up, {__name__="secret"})',
    "scalar(secret) + vector(1)",
    "absent(secret)",
    "-secret ^ 2 > bool 1",
    "secret[5m]",
    "rate(secret[1500ms] offset 1m)",
    "quantile_over_time(scalar(secret), up[5m])",
]


@pytest.mark.parametrize("expression", ESCAPES)
def test_no_expression_escapes(expression: str):
    """Every selector that would be sent requires the namespace, or nothing is sent at all."""
    try:
        sent = fence(expression, "namespace", "ours")
    except PromqlError:
        return
    assert selectors(sent)
    assert all(OURS in matchers for matchers in selectors(sent))


_names = st.sampled_from(
    ["up", "x y", 'x"y', "x) (up) or secret #", "x) secret or up * on (y", "namespace", "é", "\\"]
)
_texts = st.one_of(_names, st.text(st.characters(exclude_categories=["Cs"]), max_size=8))


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


_matchers = st.builds(
    lambda name, operator, value: f"{_quote(name)}{operator}{_quote(value)}",
    _names,
    st.sampled_from(["=", "!=", "=~", "!~"]),
    _texts,
)
_selectors = st.builds(
    lambda matchers, joined, modifier: f"secret{{{joined.join(matchers) or ''}}}{modifier}",
    st.lists(_matchers, max_size=3),
    st.sampled_from([",", " or "]),
    st.sampled_from(["", " offset 5m", " offset -90s", " @ 12.5", " @ start()"]),
)
_hostile = st.recursive(
    _selectors,
    lambda inner: st.one_of(
        st.builds(lambda x, name: f"sum by ({_quote(name)}) ({x})", inner, _names),
        st.builds(lambda x, name: f"topk without (a, {_quote(name)}) (2, {x})", inner, _names),
        st.builds(
            lambda x, y, on, one: f"({x} * on ({_quote(on)}) group_left ({_quote(one)}) {y})",
            inner,
            inner,
            _names,
            _names,
        ),
        st.builds(lambda x, text: f"count_values({_quote(text)}, {x})", inner, _texts),
        st.builds(
            lambda x, text: f'label_replace({x}, "d", {_quote(text)}, "s", {_quote(text)})',
            inner,
            _texts,
        ),
        st.builds("max_over_time(({})[5m:10s])".format, inner),
        st.builds("info({})".format, inner),
        st.builds("absent({})".format, inner),
        st.builds("({} or {} unless {})".format, inner, inner, inner),
    ),
    max_leaves=5,
)


@given(_hostile)
def test_no_nesting_escapes(expression: str):
    """For any nesting of hostile names and values: each selector confined, or a sentence."""
    try:
        sent = fence(expression, "namespace", "ours")
    except PromqlError as error:
        assert len(str(error).split()) > 3  # noqa: PT017 (either outcome is right)
        return
    assert len(selectors(sent)) == len(selectors(expression)) > 0
    assert all(OURS in matchers for matchers in selectors(sent))


def test_what_reads_more_than_its_selectors_is_refused_with_a_way_out():
    """info() looks up series by itself; only confined sources refuse it."""
    said = r'"?info\(up\).* cannot be confined to namespace="ours", .* without info\(\)'
    with pytest.raises(PromqlError, match=said):
        fence("info(up)", "namespace", "ours")
    assert promql.confine("info(up)", {"a": "b"}) == 'info(up{a="b"})'


def test_a_text_that_is_not_confined_is_never_sent(monkeypatch: pytest.MonkeyPatch):
    """What is to be sent is read again; were it printed wrongly, nothing would be asked."""
    fence.cache_clear()
    monkeypatch.setattr(promql, "confine", lambda expression, _: expression)
    with pytest.raises(PromqlError, match="cannot be confined"):
        fence("up", "namespace", "ours")
