"""Reading and confining PromQL, so that one signal can be asked of several arms.

A person writes metric names and matchers once; Backstop adds the labels of the target or of the
candidate to every selector of the expression. The parser is the reference grammar, so an
expression that passes here is one that Prometheus understands.
"""

import re
from collections.abc import Mapping
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


_PLACEHOLDER: Final = re.compile(r'"?backstop_placeholder_(?P<number>[0-9]+)_("|\{\})?')
_PLAIN_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


@lru_cache(maxsize=8192)
def _confined(expression: str, labels: tuple[tuple[str, str], ...]) -> str:
    # The parser prints label values and strings without escaping them, so each is swapped for a
    # placeholder before printing, and put back as text of our own.
    texts: list[str] = []

    def placeholder(text: str) -> str:
        texts.append(text)
        return f"backstop_placeholder_{len(texts) - 1}_"

    def swap(node: promql_parser.Expr) -> promql_parser.Expr | None:
        _require_printable(node, expression)
        if isinstance(node, promql_parser.StringLiteral):
            return _parse(_quoted(placeholder(_quoted(node.val))))
        if isinstance(node, promql_parser.VectorSelector):
            return _parse(placeholder(_selector(node, labels)) + _modifiers(node))
        return None

    printed = str(promql_parser.transform(_parse(expression), post_visit=swap))
    return _PLACEHOLDER.sub(lambda found: texts[int(found["number"])], printed)


def _require_printable(node: promql_parser.Expr, expression: str) -> None:
    """Refuse what the parser would print with another meaning."""
    durations = (getattr(node, name, None) for name in ("range", "step", "offset"))
    if any(isinstance(one, timedelta) and one.microseconds for one in durations):
        raise PromqlError(f"{expression!r} has a duration with milliseconds: write whole seconds")
    if isinstance(node, promql_parser.SubqueryExpr) and node.step is None:
        raise PromqlError(f"{expression!r} has a subquery without step: write one, as in [10m:30s]")


def _modifiers(node: promql_parser.VectorSelector) -> str:
    offset = "" if node.offset is None else f" offset {node.offset.total_seconds() * 1000:.0f}ms"
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


def confine(expression: str, labels: Mapping[str, str]) -> str:
    """Return ``expression`` with ``labels`` required by each of its selectors.

    Raises:
        PromqlError: it does not parse.
    """
    return _confined(expression, tuple(sorted(labels.items())))
