"""Reading and confining PromQL, so that one signal can be asked of several arms.

A person writes metric names and matchers once; Backstop adds the labels of the target or of the
candidate to every selector of the expression. The parser is the reference grammar, so an
expression that passes here is one that Prometheus understands. Nothing of the text a person wrote
is sent: what is asked is printed anew from what the parser read.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import lru_cache
from typing import Final

import promql_parser


class PromqlError(ValueError):
    """The expression cannot be used; the message says what to change."""


@lru_cache(maxsize=8192)
def _parse(expression: str) -> promql_parser.Expr:
    try:
        return promql_parser.parse(expression)
    except ValueError as error:
        raise PromqlError(f"{expression!r} is not valid PromQL: {error}") from None


def is_selector(expression: str) -> bool:
    """Return whether ``expression`` is a plain instant selector such as ``up{job="a"}``.

    Raises:
        PromqlError: it does not parse.
    """
    parsed = _parse(expression)
    return (
        isinstance(parsed, promql_parser.VectorSelector)
        and parsed.offset is None
        and parsed.at is None
    )


def require_selector(expression: str) -> None:
    """Check that ``expression`` names a metric with matchers and nothing else.

    Raises:
        PromqlError: it does not parse, or it is more than a selector.
    """
    if not is_selector(expression):
        raise PromqlError(
            f"{expression!r} must be a plain metric selector such as "
            'requests_total{code=~"5.."}:'
            " Backstop reads its raw samples and does rate and sum itself; use threshold.promql for"
            " free expressions"
        )


_OPERATORS: Final = {
    "MatchOp.Equal": "=",
    "MatchOp.NotEqual": "!=",
    "MatchOp.Re": "=~",
    "MatchOp.NotRe": "!~",
}


_PLACEHOLDER: Final = re.compile(
    r'"?backstop_placeholder_(?P<number>[0-9]+)_(range\{\}\[1s\]|"|\{\})?'
)
_RANGE: Final = re.compile(r"\[[^\]]*\]")
_MILLISECOND: Final = timedelta(milliseconds=1)
_TOO_MANY: Final = 2**32
_PLAIN_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


@lru_cache(maxsize=8192)
def _confined(expression: str, labels: tuple[tuple[str, str], ...]) -> str:
    # The parser prints label values and strings without escaping them, so each is swapped for a
    # placeholder before printing, and put back as text of our own.
    texts: list[str] = []

    def placeholder(text: str) -> str:
        texts.append(text)
        return f"backstop_placeholder_{len(texts) - 1}_"

    def filled(text: str) -> str:
        return _PLACEHOLDER.sub(lambda found: texts[int(found["number"])], text)

    def swap(node: promql_parser.Expr) -> promql_parser.Expr | None:
        _require_printable(node, expression)
        if isinstance(node, promql_parser.MatrixSelector) and node.range.microseconds:
            # The parser prints ranges in whole seconds.
            exact = f"[{node.range / _MILLISECOND:.0f}ms]"
            text = filled(_RANGE.sub(exact, str(node)))
            return _parse(f"{placeholder(text)}range[1s]")
        if isinstance(node, promql_parser.StringLiteral):
            return _parse(_quoted(placeholder(_quoted(node.val))))
        if isinstance(node, promql_parser.VectorSelector):
            return _parse(placeholder(_selector(node, labels)) + _modifiers(node))
        return None

    return filled(str(promql_parser.transform(_parse(expression), post_visit=swap)))


def _require_printable(node: promql_parser.Expr, expression: str) -> None:
    """Refuse what the parser would print with another meaning."""
    names = ["step", "offset"]
    if not isinstance(node, promql_parser.MatrixSelector):
        names.append("range")
    durations = (getattr(node, name, None) for name in names)
    if any(isinstance(one, timedelta) and one.microseconds for one in durations):
        raise PromqlError(f"{expression!r} has a duration with milliseconds: write whole seconds")
    if isinstance(node, promql_parser.SubqueryExpr) and node.step is None:
        raise PromqlError(f"{expression!r} has a subquery without step: write one, as in [10m:30s]")
    for name in _grouping(node):
        if not _PLAIN_NAME.fullmatch(name) or _PLACEHOLDER.match(name):
            raise PromqlError(
                f"{expression!r} groups by {name!r}: by, without, on, ignoring, group_left and"
                " group_right take only names of letters, digits and _"
            )


def _grouping(node: promql_parser.Expr) -> Iterator[str]:
    """Yield the names of labels that a node groups or matches by."""
    modifier = getattr(node, "modifier", None)
    if isinstance(modifier, promql_parser.AggModifier):
        yield from modifier.labels
    elif modifier is not None:
        yield from modifier.matching.labels if modifier.matching else ()
        yield from modifier.group_labels or ()


def _modifiers(node: promql_parser.VectorSelector) -> str:
    offset = "" if node.offset is None else f" offset {node.offset.total_seconds():.0f}s"
    at = "" if node.at is None else f" {node.at}"
    return offset + at


def _selector(node: promql_parser.VectorSelector, labels: tuple[tuple[str, str], ...]) -> str:
    if node.matchers.or_matchers:
        raise PromqlError(f"{node} joins matchers with `or`: write one selector per alternative")
    own = [
        f"{_label(m.name)}{_OPERATORS[str(m.op)]}{_quoted(m.value)}" for m in node.matchers.matchers
    ]
    added = [f"{name}={_quoted(value)}" for name, value in labels]
    return f"{node.name or ''}{{{','.join(own + added)}}}"


def _label(name: str) -> str:
    return name if _PLAIN_NAME.fullmatch(name) else _quoted(name)


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def duration(seconds: float) -> str:
    """Return a range as it is written: in milliseconds, at least one.

    The parser takes no more of them than 32 bits hold; longer ranges are in whole seconds.
    """
    milliseconds = max(1, round(seconds * 1000))
    return f"{milliseconds}ms" if milliseconds < _TOO_MANY else f"{round(seconds)}s"


def confine(expression: str, labels: Mapping[str, str]) -> str:
    """Return ``expression`` with ``labels`` required by each of its selectors.

    Raises:
        PromqlError: it does not parse.
    """
    return _confined(expression, tuple(sorted(labels.items())))


@lru_cache(maxsize=8192)
def fence(expression: str, label: str, value: str) -> str:
    """Return ``expression`` such that it reads only series whose ``label`` is ``value``.

    Whatever ``expression`` requires of ``label`` itself holds as well, so that asking for another
    value reads nothing. The result is read again, and every selector in it must be confined.

    Raises:
        PromqlError: it does not parse, or it reads series that no selector in it names.
    """
    fenced = confine(expression, {label: value})
    if not all(_is_fenced(node, label, value) for node in _nodes(fenced)):
        raise PromqlError(
            f"{expression!r} cannot be confined to {label}={_quoted(value)}, as its metrics source"
            " requires: write it with plain selectors and without info()"
        )
    return fenced


def _nodes(expression: str) -> list[promql_parser.Expr]:
    found: list[promql_parser.Expr] = []
    promql_parser.walk(_parse(expression), pre_visit=found.append)
    return found


def _is_fenced(node: promql_parser.Expr, label: str, value: str) -> bool:
    if isinstance(node, promql_parser.Call):
        return node.func.name != "info"  # it looks up series by itself
    if not isinstance(node, promql_parser.VectorSelector):
        return True
    own = [(m.name, str(m.op), m.value) for m in node.matchers.matchers]
    return not node.matchers.or_matchers and (label, "MatchOp.Equal", value) in own
