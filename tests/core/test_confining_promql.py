"""One expression, asked of several arms: every selector is confined, and nothing else changes."""

import promql_parser
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop.core.measurement import Question, raw_samples
from backstop.core.promql import PromqlError, confine, duration, is_selector, require_selector

NASTY = 'a"b\\c\nd{}é'


def selectors(expression: str) -> list[dict[str, str]]:
    """Return the equality matchers of each selector in `expression`, as the parser reads them."""
    found: list[dict[str, str]] = []

    def note(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            equal = [m for m in node.matchers.matchers if str(m.op) == "MatchOp.Equal"]
            found.append({m.name: m.value for m in equal})

    promql_parser.transform(promql_parser.parse(expression), post_visit=note)
    return found


NESTED = [
    ("up", 1),
    ("{__name__=~'a|b'}", 1),
    ("sum by (le) (rate(x_bucket[5m])) / on (pod) group_left (le) y", 2),
    ("histogram_quantile(0.9, sum by (le) (rate(x_bucket[5m])))", 1),
    ("max_over_time((rate(a[1m]) unless b)[10m:30s] @ end() offset 2m)", 2),
    ("a @ 12.5 offset -5m > bool 1 and ignoring (x) (b or c)", 3),
    ("label_replace(a, 'x', '$1', 'y', '(.*)') + topk(3, -b) ^ 2", 2),
    ('count_values("v", a{b="}",c!="",d!~"\\\\d"}) - absent(e)', 2),
    ("1 + time()", 0),
]


@pytest.mark.parametrize(("expression", "count"), NESTED)
def test_every_selector_gets_the_labels(expression: str, count: int):
    """However deep a selector stands, it is confined; the result is valid PromQL."""
    confined = selectors(confine(expression, {"app": "fraud", "note": NASTY}))
    assert len(confined) == count
    assert all(one["app"] == "fraud" and one["note"] == NASTY for one in confined)


@pytest.mark.parametrize("expression", [expression for expression, _ in NESTED])
def test_without_labels_the_meaning_stays(expression: str):
    """Confining to nothing changes nothing: the parser reads both texts as the same."""
    same = promql_parser.parse(confine(expression, {}))
    assert str(same) == str(promql_parser.parse(expression))


def test_the_text_is_what_a_person_would_write():
    """Own matchers come first and keep their operators; the added labels follow, sorted."""
    asked = confine('sum(rate(req{code=~"5..",a!="b"}[1m] offset 30s))', {"z": "1", "app": "x"})
    assert asked == 'sum(rate(req{code=~"5..",a!="b",app="x",z="1"}[1m] offset 30s))'


def test_ranges_keep_their_milliseconds():
    """Raw samples are asked in milliseconds; modifiers of the range stay behind it."""
    asked = confine("rate(a[1500ms] offset 1m) + max_over_time(b[250ms] @ 12.5)", {"x": "1"})
    assert asked == 'rate(a{x="1"}[1500ms] offset 1m) + max_over_time(b{x="1"}[250ms] @ 12.500)'
    assert confine("a[1001ms]", {}) == "a{}[1001ms]"
    assert confine("rate(a{b='[5m]'}[1500ms])", {}) == 'rate(a{b="[5m]"}[1500ms])'


def test_ranges_and_offsets_may_be_longer_than_fifty_days():
    """More milliseconds than 32 bits hold are no number for the parser, so seconds are written."""
    for text in ("60d", "1y"):
        assert confine(f"a offset {text}", {}) == confine(f"a{{}} offset {text}", {})
        assert confine(f"a[5m] offset -{text}", {"x": "1"}).startswith('a{x="1"}[5m] offset -')
    assert [duration(one) for one in (0.0, 0.25, 90.0)] == ["1ms", "250ms", "90000ms"]
    assert [duration(one) for one in (4294967.295, 4294967.296)] == ["4294967295ms", "4294967s"]
    confine(f"rate(a[{duration(60 * 86_400.0)}])", {})


def test_text_that_looks_like_a_placeholder_stays_as_it_is():
    """Whatever stands in a string is never taken for a part of the expression."""
    text = "backstop_placeholder_1_"
    asked = confine(f'a{{b="{text}"}} + label_replace(c, "d", "{text}", "e", "f")', {"x": text})
    assert selectors(asked) == [{"b": text, "x": text}, {"x": text}]
    assert f'"d", "{text}", "e"' in asked


def test_names_outside_the_classic_alphabet_stay_quoted():
    """Metric and label names in UTF-8, as Prometheus 3 has them, survive."""
    assert confine('{"http.requests", "pod.name"="a"}', {"x": "1"}) == (
        '{__name__="http.requests","pod.name"="a",x="1"}'
    )


_names = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True).filter(
    lambda name: name not in {"inf", "nan", "by", "on", "or", "and", "bool", "unless", "offset"}
)
_texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


@st.composite
def _selectors(draw: st.DrawFn) -> str:
    name = f"m_{draw(_names)}"
    matchers = draw(st.dictionaries(_names, _texts, max_size=2))
    own = ",".join(f"own_{label}={_quote(value)}" for label, value in matchers.items())
    return f"{name}{{{own}}}"


_expressions = st.recursive(
    _selectors(),
    lambda inner: st.one_of(
        st.builds("sum by (x) ({})".format, inner),
        st.builds("({} / {})".format, inner, inner),
        st.builds("rate(({})[5m:10s])".format, inner),
        st.builds("({} offset 90s)".format, _selectors()),
        st.builds("-{}".format, inner),
        st.builds(
            lambda one, text: f'label_replace({one}, "d", {_quote(text)}, "s", "x")', inner, _texts
        ),
    ),
    max_leaves=6,
)


@given(_expressions, st.dictionaries(_names, _texts, min_size=1, max_size=3))
def test_any_expression_is_confined_and_parses_again(expression: str, labels: dict[str, str]):
    """For any nesting and any label values: same selectors as before, each with the labels."""
    before = selectors(expression)
    after = selectors(confine(expression, labels))
    assert after == [{**own, **labels} for own in before]


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("sum(", "is not valid PromQL"),
        ("", "is not valid PromQL"),
        ('a{b="x" or c="y"}', "joins matchers with `or`: write one selector per alternative"),
        ("a offset 1500ms", "has a duration with milliseconds: write whole seconds"),
        ("sum_over_time(a[1m:500ms])", "has a duration with milliseconds: write whole seconds"),
        ("sum_over_time(a[1500ms:1s])", "has a duration with milliseconds: write whole seconds"),
        ('sum by ("a b") (c)', "groups by 'a b': by, without, on, ignoring, group_left and"),
        ('sum without ("a)(b") (c)', r"groups by 'a\)\(b'"),
        ('a * on ("b c") d', "groups by 'b c'"),
        ('a * on (b) group_left ("c d") e', "groups by 'c d'"),
        ("sum by (backstop_placeholder_0_) (a)", "groups by 'backstop_placeholder_0_'"),
        ("sum_over_time(a[1m:])", r"has a subquery without step: write one, as in \[10m:30s\]"),
    ],
)
def test_what_cannot_be_confined_faithfully_is_refused(expression: str, said: str):
    """An expression is asked with its exact meaning or not at all; the error says what to write."""
    with pytest.raises(PromqlError, match=said):
        confine(expression, {"app": "x"})


@pytest.mark.parametrize(
    ("expression", "plain"),
    [
        ("up", True),
        ('up{job="a"}', True),
        ("up offset 5m", False),
        ("up @ 3", False),
        ("up[5m]", False),
        ("sum(up)", False),
        ("(up)", False),
        ("1", False),
    ],
)
def test_only_a_plain_selector_can_be_read_raw(expression: str, *, plain: bool):
    """Raw samples are of one selector, now; anything else is refused with the way out."""
    assert is_selector(expression) is plain
    if plain:
        require_selector(expression)
        return
    with pytest.raises(PromqlError, match=r"must be a plain metric selector .* threshold.promql"):
        require_selector(expression)


@pytest.mark.parametrize(
    ("window", "asked"), [(30.0, "30000ms"), (0.25, "250ms"), (0.0001, "1ms"), (1.0014, "1001ms")]
)
def test_raw_samples_are_asked_in_milliseconds(window: float, asked: str):
    """The window is whole milliseconds and never empty, and the selector is confined."""
    assert raw_samples("req", {"app": "x"}, window) == Question(
        f'req{{app="x"}}[{asked}]', raw=True
    )
