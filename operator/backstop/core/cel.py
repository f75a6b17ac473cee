"""Rules that compare fields of an API model, stated once for the API server and for Python.

The expression runs in the API server, so a bad spec is refused before it is stored; the predicate
holds the same against a model, so a spec can be checked without a cluster. The tests give both
the same good and bad specs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.alias_generators import to_camel

ModelT = TypeVar("ModelT", bound=type[BaseModel])

_RULES = "__cel_rules__"


@dataclass(frozen=True, slots=True)
class CelRule:
    """An expression that must be true, and the sentence shown when it is not.

    ``holds`` is the same expression as a predicate over the model.
    """

    rule: str
    message: str
    holds: Callable[[Any], bool]


def cel(rule: str, message: str, holds: Callable[[Any], bool]) -> Callable[[ModelT], ModelT]:
    """Return a class decorator that adds the CEL ``rule`` to a model."""

    def attach(model: ModelT) -> ModelT:
        setattr(model, _RULES, (CelRule(rule, message, holds), *cel_rules(model)))
        return model

    return attach


def cel_rules(model: type[Any]) -> tuple[CelRule, ...]:
    """Return the CEL rules of ``model`` itself, in the order in which they are written."""
    rules: tuple[CelRule, ...] = vars(model).get(_RULES, ())
    return rules


def require_rules(value: BaseModel) -> None:
    """Check ``value`` against the rules of its model.

    Raises:
        ValueError: a rule does not hold; the message says what to change.
    """
    broken = [rule.message for rule in cel_rules(type(value)) if not rule.holds(value)]
    if broken:
        raise ValueError("; ".join(broken))


class Part(BaseModel):
    """A part of a custom resource: camel case outside, frozen inside, unknown fields refused.

    It is held to the rules of its class, as the API server holds it to them.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
    )

    @model_validator(mode="after")
    def _keeps_its_rules(self) -> Self:
        require_rules(self)
        return self
