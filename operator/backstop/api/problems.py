"""What is wrong with a ModelMonitor or a Runbook, in sentences that say what to change.

Holds a manifest against the same types, limits and rules that the API server enforces, and beyond
that parses its PromQL and looks up the signals that its runbook names. All problems are found at
once, so that one correction round is enough.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from backstop.api import API_VERSION
from backstop.api.crd import MODEL_MONITOR, RUNBOOK, Kind, object_schema
from backstop.api.forms import FORMS
from backstop.api.schema import Schema
from backstop.api.signal import Signal
from backstop.core.presets.preset import PresetError
from backstop.core.presets.registry import presets
from backstop.core.promql import PromqlError
from backstop.core.signals.rule import Subject
from backstop.core.units import seconds

_Location = tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to change: where, and a sentence that says what."""

    path: str
    message: str


CHECKED: Final[Mapping[str, Kind]] = {kind.name: kind for kind in (MODEL_MONITOR, RUNBOOK)}
"""The kinds that people write, by name."""

_PURPOSE: Final = {
    MODEL_MONITOR.name: "it says what to watch, and needs target and signals",
    RUNBOOK.name: "it says what to do, by cause: data, model, infrastructure, release",
}


_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_NAMESPACE: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_METADATA: Final = (
    "name",
    "namespace",
    "labels",
    "annotations",
    "finalizers",
    "ownerReferences",
    "generateName",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
)
"""Fields of the metadata of any object; those that people write come first."""


def find_problems(manifest: Mapping[str, Any]) -> tuple[Problem, ...]:
    """Return what is wrong with ``manifest``; empty if nothing.

    It is a ModelMonitor unless its kind is another one of ``CHECKED``.
    """
    kind = CHECKED.get(str(manifest.get("kind")), MODEL_MONITOR)
    found = list(_of_the_object(manifest, kind))
    spec = manifest.get("spec")
    if isinstance(spec, Mapping):
        empty = list(_of_empty_fields(spec, ("spec",)))
        told = {problem.path for problem in empty}
        found += empty
        found += (problem for problem in _of_the_spec(spec, kind) if problem.path not in told)
        if kind is MODEL_MONITOR:
            found += _of_promql(spec)
    if not found and kind is MODEL_MONITOR:
        found += _of_named_signals(manifest["spec"])
    if not found:
        rules = (rule for rule in kind.rules if not rule.holds(manifest))
        found += [Problem("metadata.name", rule.message) for rule in rules]
    return tuple(found)


def _of_the_object(manifest: Mapping[str, Any], kind: Kind) -> Iterator[Problem]:
    if manifest.get("apiVersion") != API_VERSION:
        yield Problem("apiVersion", f"write {API_VERSION}, not {_said(manifest.get('apiVersion'))}")
    schema = _schema(kind.name)
    for name in manifest:
        if name not in schema["properties"]:
            yield Problem(str(name), _unknown_field(str(name), schema))
    metadata = manifest.get("metadata")
    if not isinstance(metadata, Mapping) or not isinstance(metadata.get("name"), str):
        what = "monitor" if kind is MODEL_MONITOR else "runbook"
        yield Problem("metadata.name", f"is missing: give the {what} a name, in quotes if a number")
    if isinstance(metadata, Mapping):
        yield from _of_the_metadata(metadata)
    if not isinstance(manifest.get("spec"), Mapping):
        yield Problem("spec", f"is missing: {_PURPOSE[kind.name]}")


def _of_the_metadata(metadata: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what the API server refuses in the metadata of any object."""
    for name in metadata:
        if name not in _METADATA:
            schema = {"properties": dict.fromkeys(_METADATA)}
            yield Problem(f"metadata.{name}", _unknown_field(str(name), schema))
    for field, form, most, characters in (
        ("name", _NAME, 253, "a-z, 0-9, - and ."),
        ("namespace", _NAMESPACE, 63, "a-z, 0-9 and -"),
    ):
        written = metadata.get(field)
        if isinstance(written, str) and not (len(written) <= most and form.fullmatch(written)):
            said = f"is not a {field}; use {characters}, a letter or digit at both ends"
            yield Problem(f"metadata.{field}", f"{_said(written)} {said}, {most} at most")
    for field in ("labels", "annotations"):
        held = metadata.get(field)
        if not isinstance(held, Mapping | None):
            yield Problem(f"metadata.{field}", "must be a map from names to texts")
            continue
        for name, text in (held or {}).items():
            if not isinstance(text, str | None):
                said = f"{_said(text)} is not text; put it in quotes"
                yield Problem(f"metadata.{field}.{name}", said)


def _of_empty_fields(value: object, location: _Location) -> Iterator[Problem]:
    if value is None:
        yield Problem(_path(location), "is empty: give it a value, or remove the field")
    elif isinstance(value, Mapping):
        for name, child in value.items():
            yield from _of_empty_fields(child, (*location, str(name)))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _of_empty_fields(child, (*location, index))


def _of_the_spec(spec: Mapping[str, Any], kind: Kind) -> Iterator[Problem]:
    # JSON in strict mode is what the API server accepts: "5" is not a number, 1 is not true.
    text = json.dumps(_without_empty(spec), default=str)
    try:
        kind.spec.model_validate_json(text, strict=True)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            inner = tuple(part for part in detail["loc"] if part != "[key]")
            location: _Location = ("spec", *inner)
            yield Problem(_path(location), _sentence(detail, location, kind))


def _of_named_signals(spec: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the signals that steps of the monitor's own runbook name and the monitor lacks."""
    known = sorted(signal["name"] for signal in spec["signals"])
    runbook = spec.get("runbook") or {}
    for cause, steps in runbook.items():
        for index, step in enumerate(steps if isinstance(steps, list) else ()):
            for part in ("when", "verify"):
                for place, name in enumerate((step.get(part) or {}).get("signals") or ()):
                    if name not in known:
                        location: _Location = ("spec", "runbook", cause, index, part)
                        path = _path((*location, "signals", place))
                        yield Problem(path, _no_such("signal", name, known))


def _of_promql(spec: Mapping[str, Any]) -> Iterator[Problem]:
    signals = spec.get("signals")
    for index, written in enumerate(signals if isinstance(signals, list) else ()):
        try:
            signal = Signal.model_validate(written)
        except ValidationError:
            continue  # already told, by the check of the whole spec
        location: _Location = ("spec", "signals", index, signal.rule.KIND)
        preset = presets().get(str(spec.get("preset")))
        try:
            rule = signal.rule.resolved(preset)
            rule.questions(Subject({}, {}), seconds(signal.looks_back))
        except PresetError as error:
            yield Problem(_path(location), str(error))
        except PromqlError as error:
            yield Problem(_path((*location, *_guilty(signal.rule, str(error)))), str(error))


def _guilty(model: BaseModel, message: str) -> _Location:
    """Return the fields that lead to the text that ``message`` quotes, empty if none does."""
    for name, field in type(model).model_fields.items():
        value, alias = getattr(model, name), field.alias or name
        if isinstance(value, str) and repr(value) in message:
            return (alias,)
        if isinstance(value, BaseModel) and (inner := _guilty(value, message)):
            return (alias, *inner)
    return ()


def _without_empty(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _without_empty(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_without_empty(one) for one in value if one is not None]
    return value


@cache
def _schema(kind: str) -> Schema:
    return object_schema(CHECKED[kind])


def _schema_at(location: _Location, kind: Kind) -> Schema:
    node = _schema(kind.name)
    for part in location:
        if isinstance(part, int):
            node = node.get("items", {})
        else:
            node = node.get("properties", {}).get(part) or node.get("additionalProperties", {})
    return node


def _path(location: _Location) -> str:
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in location]
    return "".join(parts).removeprefix(".")


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeio" else "a"


def _said(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


_CONTAINERS: Final = {
    "model_type": "needs fields below it",
    "dict_type": "needs names with values below it",
    "list_type": "must be a list: begin each entry with -",
    "bool_type": "must be true or false, without quotes",
}


def _sentence(detail: ErrorDetails, location: _Location, kind: Kind) -> str:
    if detail["type"] == "extra_forbidden":
        return _unknown_field(str(location[-1]), _schema_at(location[:-1], kind))
    say = _SENTENCES.get(detail["type"])
    if say is not None:
        return say(detail, _schema_at(location, kind))
    return _CONTAINERS.get(detail["type"], detail["msg"])


def _unknown_field(name: str, parent: Schema) -> str:
    return _no_such("field", name, sorted(parent.get("properties", ())))


def _no_such(what: str, name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, n=1)
    if near:
        return f"there is no {what} {name}; did you mean {near[0]}?"
    return f"there is no {what} {name}; remove it, or use one of {', '.join(known)}"


def _missing(_detail: ErrorDetails, node: Schema) -> str:
    return f"is missing: {node['description']}"


def _not_one_of(detail: ErrorDetails, node: Schema) -> str:
    return f"{_said(detail['input'])} is not known; write {' or '.join(node['enum'])}"


def _not_a_whole_number(detail: ErrorDetails, node: Schema) -> str:
    bounds = f"from {node['minimum']} to {node['maximum']}"
    return f"{_said(detail['input'])} does not fit: write a whole number {bounds}, without quotes"


def _not_written_as(detail: ErrorDetails, node: Schema) -> str:
    # For a bad name in a map the node is that of the map's values; the error has the pattern.
    pattern = detail.get("ctx", {}).get("pattern", node.get("pattern"))
    form = FORMS.get(str(pattern))
    value = detail["input"]
    if form is not None:
        return f"{_said(value)} is not {_article(form.name)} {form.name}; write {form.advice}"
    if detail["type"] == "string_type" and not isinstance(value, dict | list):
        # YAML has made 1.1 of 1.10 and false of no: what was written is not known any more.
        exact = type(value) is int
        how = f": {_said(str(value))}" if exact else ", exactly as it is written"
        return f"{_said(value)} is not text; put it in quotes{how}"
    return "must be text that is not empty"


def _broken_rule(detail: ErrorDetails, _node: Schema) -> str:
    return str(detail["ctx"]["error"])


def _too_long_a_text(detail: ErrorDetails, _node: Schema) -> str:
    return f"is too long: at most {detail['ctx']['max_length']} characters are allowed"


def _too_many(detail: ErrorDetails, _node: Schema) -> str:
    return f"has too many entries: at most {detail['ctx']['max_length']} are allowed"


def _too_few(detail: ErrorDetails, _node: Schema) -> str:
    return f"has too few entries: at least {detail['ctx']['min_length']} must be there"


_SENTENCES: Final[Mapping[str, Callable[[ErrorDetails, Schema], str]]] = {
    "missing": _missing,
    "enum": _not_one_of,
    "literal_error": _not_one_of,
    "greater_than_equal": _not_a_whole_number,
    "less_than_equal": _not_a_whole_number,
    "int_type": _not_a_whole_number,
    "int_from_float": _not_a_whole_number,
    "string_type": _not_written_as,
    "string_pattern_mismatch": _not_written_as,
    "string_too_short": _not_written_as,
    "string_too_long": _too_long_a_text,
    "too_long": _too_many,
    "too_short": _too_few,
    "value_error": _broken_rule,
}
