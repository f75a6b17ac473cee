"""Servers with a record, and clients of them."""

from collections.abc import Iterator

import pytest
from tests.backtest.record_server import RecordServer, record_server

from backstop.adapters.metrics.bounded_http import Access
from backstop.adapters.metrics.past import Past

MAX_BODY = 650_000


@pytest.fixture
def server() -> Iterator[RecordServer]:
    with record_server() as running:
        yield running


@pytest.fixture
def past(server: RecordServer) -> Iterator[Past]:
    client = Past(server.url, Access(deadline=5.0, max_body=MAX_BODY))
    yield client
    client.close()
