"""What the schema of the chart's values lets through is what the operator reads, and the reverse.

A value that only the operator refuses would pass `helm install`, and end each pod at its start.
"""

import json
import re
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError
from tests.chart.helm import CHART

from backstop.core.units import DnsLabel, DnsName, Duration, LabelName, Percent
from backstop.runtime.config import NotificationsConfig, SourceConfig, WebhooksConfig

SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))


def of(*path: str) -> dict[str, Any]:
    """Return the schema of a value; ``NAME`` is any source."""
    found = SCHEMA
    for key in path:
        found = found["additionalProperties"] if key == "NAME" else found["properties"][key]
    return found


def accepts(schema: dict[str, Any], text: str) -> bool:
    """Return whether a text passes, as far as its form and length go."""
    if "anyOf" in schema:
        return any(accepts(one, text) for one in schema["anyOf"])
    if "const" in schema:
        return bool(schema["const"] == text)
    fits = re.search(schema.get("pattern", ""), text) is not None
    return fits and len(text) <= schema.get("maxLength", len(text))


def reads(kind: Any, value: Any) -> bool:
    """Return whether the operator takes a value."""
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True


TEXTS: list[tuple[dict[str, Any], Any, list[str]]] = [
    *(
        (of(*path), Duration, ["5s", "500ms", "14d", "0s", "05s", "1.5s", "12345678s", "5", ""])
        for path in (
            ("sources", "NAME", "timeout"),
            ("webhooks", "timeout"),
            ("notifications", "timeout"),
        )
    ),
    (
        of("budgets", "blastRadius"),
        Percent,
        ["20%", "2.5%", "100%", "0%", "101%", "200%", "100.0%", "20.12345%", "20"],
    ),
    (
        of("sources", "NAME", "tenantLabel"),
        LabelName,
        ["namespace", "_a1", "1a", "a-b", "a" * 63, "a" * 64],
    ),
    (of("killSwitch"), DnsName, ["stop", "stop.all", "Stop", "a" * 253, "a" * 254]),
    (SCHEMA["properties"]["sources"]["propertyNames"], DnsLabel, ["a", "a-b", "a.b", "a" * 64]),
]


@pytest.mark.parametrize(
    ("schema", "kind", "text"),
    [(schema, kind, text) for schema, kind, texts in TEXTS for text in texts],
)
def test_a_text_passes_the_schema_where_the_operator_reads_it(
    schema: dict[str, Any], kind: Any, text: str
) -> None:
    """Durations, shares and names have one form each, with the same limits of length."""
    assert accepts(schema, text) == reads(kind, text)


@pytest.mark.parametrize(
    "url",
    [
        "http://prometheus",
        "https://mimir.example.com:8443/prometheus/",
        "http://[fd00::1]:9090",
        "http://prom_a.ns:9090/select/0/prometheus",
        "http://prometheus:port",
        "http://[::1",
        "http://prometheus/?match=a",
        "http://prometheus?a",
        "http://prometheus/#a",
        "prometheus:9090",
        "ftp://prometheus",
    ],
)
def test_the_address_of_a_source(url: str) -> None:
    """What is appended to it must end up in its path."""
    assert accepts(of("sources", "NAME", "url"), url) == reads(SourceConfig, {"url": url})


@pytest.mark.parametrize(
    "url",
    [
        "https://alerts.example.com/backstop",
        "http://a_b:8080?x=1",
        "https://[fd00::1]/x",
        "https://hooks.example.com/T0/B0/@x",
        "https://a/b#c",
        "https://a/ü",
        "https://u:p@a/",
        "slack://a",
    ],
)
def test_the_address_of_a_receiver(url: str) -> None:
    """The form that is dialled, and no other."""
    said = accepts(of("notifications", "url"), url)
    assert said == reads(NotificationsConfig, {"url": url})


@pytest.mark.parametrize(
    "host", ["a.example.com", "A.example.com.", "a_b.ns.svc:8080", "*.example.com", "[::1]:80"]
)
def test_a_host_that_the_operator_knows_passes(host: str) -> None:
    """Those that it does not are told in words, by the template."""
    schema = of("webhooks", "allowedHosts")["items"]
    assert accepts(schema, host)
    assert reads(WebhooksConfig, {"allowedHosts": [host], "secretFile": "/key"})


@pytest.mark.parametrize(
    "path", [("sources", "NAME", "bearerToken"), ("webhooks", "signingKey"), ("notifications",)]
)
def test_a_key_of_a_secret_has_a_name(path: tuple[str, ...]) -> None:
    """An empty one would leave the pods without their volume."""
    part = of(*path) if path != ("notifications",) else of("notifications", "signingKey")
    assert part["properties"]["key"]["minLength"] == 1
