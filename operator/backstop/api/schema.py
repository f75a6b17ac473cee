"""From a pydantic model to the structural schema that the API server demands.

References are inlined, optional fields become absent ones, and unknown fields are left to pruning.
Every string, list and map must be bounded: a CRD without limits lets one object fill etcd, and
makes the cost of its CEL rules incalculable, so a model without them is refused by path.
"""

import re
from collections.abc import Sequence
from inspect import cleandoc
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from backstop.core.cel import CelRule, cel_rules

Schema = dict[str, Any]

_RULES: Final = "x-kubernetes-validations"
_KEPT: Final[tuple[str, ...]] = (
    "description",
    "type",
    "format",
    "enum",
    "pattern",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    _RULES,
)
_DEEPEST: Final = 16
_INT32_MAX: Final = 2**31 - 1
_ROLE: Final = re.compile(r":[a-z:]+:`~?([^`]+)`")


class SchemaError(TypeError):
    """The model cannot become a structural schema; the message names the field."""


class _WithRules(GenerateJsonSchema):
    """Adds the CEL rules of each model to its schema."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        produced = super().model_schema(schema)
        rules = as_validations(cel_rules(schema["cls"]))
        return {**produced, _RULES: rules} if rules else produced


def as_validations(rules: Sequence[CelRule]) -> list[Schema]:
    """Return ``rules`` as the entries of ``x-kubernetes-validations``."""
    return [{"rule": rule.rule, "message": rule.message} for rule in rules]


def structural_schema(model: type[BaseModel], *, path: str, defaults: bool) -> Schema:
    """Return the structural schema of ``model``.

    ``path`` is where it stands in the custom resource, for messages. ``defaults`` says whether
    the API server shall fill in the defaults of the model.

    Raises:
        SchemaError: a string, list or map has no limit, or the schema is not structural.
    """
    raw = model.model_json_schema(by_alias=True, schema_generator=_WithRules)
    return _Inliner(raw.pop("$defs", {}), defaults=defaults).inline(raw, path, 0)


class _Inliner:
    def __init__(self, definitions: dict[str, Schema], *, defaults: bool) -> None:
        self._definitions = definitions
        self._defaults = defaults

    def inline(self, node: Schema, path: str, depth: int) -> Schema:
        if depth > _DEEPEST:
            raise SchemaError(f"{path} is nested too deeply or contains itself")
        node = self._resolve(node, path)
        _require_limits(node, path)
        kept: Schema = {key: node[key] for key in _KEPT if key in node}
        if "description" in kept:
            kept["description"] = plain_text(kept["description"])
        if _RULES in kept:
            kept[_RULES] = [{"rule": one["rule"], **one} for one in kept[_RULES]]
        if node["type"] == "integer":
            small = abs(node.get("maximum", _INT32_MAX + 1)) <= _INT32_MAX
            kept["format"] = "int32" if small else "int64"
        if self._defaults and node.get("default") is not None:
            kept["default"] = _without_nulls(node["default"])
        return kept | self._children(node, kept, path, depth)

    def _resolve(self, node: Schema, path: str) -> Schema:
        while "$ref" in node or "anyOf" in node:
            node = dict(node)
            if "$ref" in node:
                inner = self._definitions[node.pop("$ref").rpartition("/")[2]]
            else:
                present = [one for one in node.pop("anyOf") if one.get("type") != "null"]
                if len(present) != 1:
                    raise SchemaError(f"{path} is a union; a structural schema has one type")
                inner = present[0]
            node = {**inner, **node}
        if "const" in node:
            node = {**node, "enum": [node["const"]]}
        if node.get("type") not in _LIMITS:
            raise SchemaError(f"{path} has type {node.get('type')!r}, which has no place in a CRD")
        return node

    def _children(self, node: Schema, kept: Schema, path: str, depth: int) -> Schema:
        if node["type"] == "array":
            return {"items": self.inline(node["items"], f"{path}[]", depth + 1)}
        if "properties" in node:
            children = {
                name: self.inline(child, f"{path}.{name}", depth + 1)
                for name, child in node["properties"].items()
            }
            required = {"required": node["required"]} if "required" in node else {}
            return {**required, "properties": children}
        if node["type"] == "object":
            values, rules = _map_parts(node)
            return {
                "additionalProperties": self.inline(values, f"{path}.*", depth + 1),
                **({_RULES: [*kept.get(_RULES, []), *rules]} if rules else {}),
            }
        return {}


def _map_parts(node: Schema) -> tuple[Schema, list[Schema]]:
    """Return the schema of a map's values, and CEL rules for its keys."""
    longest = node["propertyNames"]["maxLength"]
    rules = [
        {
            "rule": f"self.all(key, size(key) <= {longest})",
            "message": f"a name must have at most {longest} characters",
        }
    ]
    patterns = node.get("patternProperties")
    if not patterns:
        return node["additionalProperties"], rules
    ((pattern, values),) = patterns.items()
    rules.append(
        {
            "rule": f"self.all(key, key.matches(r'{pattern}'))",
            "message": f"a name must match {pattern}",
        }
    )
    return values, rules


_LIMITS: Final = {
    "string": ("maxLength", "enum", "format"),
    "array": ("maxItems",),
    "object": ("maxProperties", "properties"),
    "integer": (),
    "boolean": (),
}
"""By type: any one of these keys makes a schema bounded."""


def _require_limits(node: Schema, path: str) -> None:
    wanted = _LIMITS[node["type"]]
    if wanted and not any(key in node for key in wanted):
        raise SchemaError(f"{path} has no limit: give the {node['type']} a {wanted[0]}")
    is_map = node["type"] == "object" and "properties" not in node
    if is_map and "maxLength" not in node.get("propertyNames", {}):
        raise SchemaError(f"{path} has no limit: give the names of the map a maxLength")


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(one) for key, one in value.items() if one is not None}
    return value


def plain_text(docstring: str) -> str:
    """Return ``docstring`` as paragraphs without line breaks, indentation and Sphinx roles."""
    text = _ROLE.sub(r"`\1`", cleandoc(docstring)).replace("``", "`")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))
