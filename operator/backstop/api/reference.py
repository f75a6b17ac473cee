"""The field tables of the reference pages, from the same schema that the API server enforces.

A page holds each table between two markers; everything else on it is written by people.
"""

import json
import re
from collections.abc import Iterator
from typing import Final

from backstop.api.crd import Kind, object_schema
from backstop.api.forms import FORMS
from backstop.api.schema import Schema

_TABLE: Final = re.compile(
    r"(?P<begin><!-- fields of (?P<part>spec|status), written by `backstop crds --docs` -->\n)"
    r".*?(?P<end><!-- end of fields -->)",
    re.DOTALL,
)


def page_name(kind: Kind) -> str:
    """Return the file name of the page about ``kind``."""
    return f"{kind.name.lower()}.md"


def with_tables(page: str, kind: Kind) -> str:
    """Return ``page`` with the field tables of ``kind`` between its markers."""

    def table(match: re.Match[str]) -> str:
        return f"{match['begin']}{field_table(kind, match['part'])}{match['end']}"

    return _TABLE.sub(table, page)


def field_table(kind: Kind, part: str) -> str:
    """Return a Markdown table of all fields below ``part``, which is ``spec`` or ``status``."""
    rows = ["| field | type | default | meaning |", "|---|---|---|---|"]
    for path, node, required in _fields(object_schema(kind)["properties"][part], ""):
        default = "required" if required else _default(node)
        meaning = str(node.get("description", "")).replace("\n\n", " ").replace("|", "\\|")
        cells = [f"`{path}`", _type(node), default, meaning]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def _fields(node: Schema, path: str) -> Iterator[tuple[str, Schema, bool]]:
    for name, child in node.get("properties", {}).items():
        inner = f"{path}.{name}" if path else name
        yield inner, child, name in node.get("required", ())
        if child["type"] == "array":
            yield from _fields(child["items"], f"{inner}[]")
        else:
            yield from _fields(child, inner)


def _type(node: Schema) -> str:
    if "enum" in node:
        return " or ".join(f"`{value}`" for value in node["enum"])
    if node["type"] == "array":
        return f"list of {_type(node['items'])}, at most {node['maxItems']}"
    if "additionalProperties" in node:
        return f"map to {_type(node['additionalProperties'])}, at most {node['maxProperties']}"
    return _range(node) if node["type"] == "integer" else _scalar(node)


def _scalar(node: Schema) -> str:
    if node.get("format") == "date-time":
        return "time"
    form = FORMS.get(node.get("pattern", ""))
    if form is not None:
        return form.name
    return {"string": "text", "boolean": "true or false"}.get(node["type"], str(node["type"]))


def _range(node: Schema) -> str:
    if "minimum" in node and "maximum" in node:
        return f"{node['minimum']} to {node['maximum']}"
    return "whole number"


def _default(node: Schema) -> str:
    if "default" not in node or node["type"] == "object":
        return ""
    default = node["default"]
    return f"`{default if isinstance(default, str) and default else json.dumps(default)}`"
