"""What is secret stays secret, also where a source repeats what was sent to it."""

import json
from pathlib import Path

import pytest
from tests.adapters.reading import ask
from tests.adapters.rude_server import RudeServer, plain

from backstop.adapters.metrics.bounded_http import Access
from backstop.adapters.metrics.prometheus import PrometheusSource
from backstop.runtime.config import ConfigError, load

TOKEN, TENANT, STORED = "tok-7f3a9c", "tenant-5521", "db-passw0rd"
ECHO = f"Authorization: Bearer {TOKEN} X-Scope-OrgID: {TENANT} \x1b[31m{STORED}\r\n\u202e"


@pytest.mark.parametrize("user", ["", f"someone:{STORED}@"])
@pytest.mark.parametrize("status", [200, 400, 401, 422, 500])
@pytest.mark.parametrize(
    "body",
    [
        ECHO,
        f"<html><body><h1>Forbidden</h1><pre>{ECHO}</pre></body></html>",
        json.dumps({"status": "error", "errorType": "bad_data", "error": ECHO}),
        json.dumps({"status": "error", "errorType": "execution", "error": f"expanding: {ECHO}"}),
        json.dumps({"status": "error", "errorType": "bad_data", "error": f"parse error: {ECHO}"}),
        json.dumps({"status": "success", "data": {"result": []}, "warnings": [ECHO]}),
        json.dumps({"status": ECHO}),
    ],
)
async def test_nothing_that_a_source_repeats_is_shown(
    server: RudeServer,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    user: str,
    status: int,
    body: str,
) -> None:
    """Token, headers, password and a secret in the body reach neither the failure nor the log."""
    token = tmp_path / "token"
    token.write_text(TOKEN)
    access = Access(headers={"X-Scope-OrgID": TENANT}, token_file=None if user else token)
    source = PrometheusSource(server.url.replace("http://", f"http://{user}"), access)
    server.answers[""] = plain(body, status)
    reading = await ask(source)
    await source.close()
    assert TENANT in server.heads[0]
    assert ("Basic " if user else TOKEN) in server.heads[0]
    out, err = capfd.readouterr()
    assert reading.failure
    assert reading.failure.isprintable()
    for secret in (TOKEN, TENANT, STORED, "someone", "\x1b", "\u202e"):
        assert secret not in reading.failure + out + err


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ('invalid parameter "query": 1:5: parse error: unexpected end of input', True),
        ('found duplicate series for the match group {a="b"}', True),
        ("multiple matches for labels: many-to-one matching must be explicit", True),
        ("vector cannot contain metrics with the same labelset", True),
        ("expanding series: store 10.0.0.9: password is wrong", False),
        ("no org id", False),
    ],
)
async def test_only_the_words_of_promql_are_shown(
    server: RudeServer, source: PrometheusSource, said: str, *, shown: bool
) -> None:
    """A person learns what to change; what stands behind the source stays unsaid."""
    answer = {"status": "error", "errorType": "execution", "error": said}
    server.answers[""] = plain(json.dumps(answer), 422)
    reading = await ask(source)
    assert reading.bad_query
    assert reading.failure == "the query is rejected: " + (
        said if shown else "HTTP 422; ask the source itself to see why"
    )


def test_a_mistake_in_the_configuration_does_not_quote_it(tmp_path: Path) -> None:
    """The line is named, not shown: it may hold a header with a token."""
    path = tmp_path / "config.yaml"
    path.write_text(f"sources:\n  default:\n    headers: {{Authorization: {TOKEN}\n")
    with pytest.raises(ConfigError, match=r"it is not YAML in UTF-8 in line \d") as caught:
        load(path, None)
    assert TOKEN not in str(caught.value)
    path.write_text(f"sources: {{default: {{url: 'ftp://a:{TOKEN}@b'}}}}\n")
    with pytest.raises(ConfigError, match=r"sources\.default\.url") as caught:
        load(path, None)
    assert TOKEN not in str(caught.value)
