"""Prometheus asked about the past, one request at a time, on the bounded session.

Guarantees: each request ends within its deadline and costs a bounded amount of memory; a failure is
one of the exceptions named here, with a message that is safe to show. The client library is not
used, as it rounds the times of a range to whole seconds.
"""

import threading
from typing import Final
from urllib.parse import urlsplit

from backstop.adapters.metrics.answer import AnswerError, parse, partial
from backstop.adapters.metrics.bounded_http import (
    Access,
    BoundedSession,
    RefusedError,
    SourceError,
)
from backstop.adapters.metrics.prometheus import about_query
from backstop.core.samples import Series

PAST_ACCESS: Final = Access(deadline=30.0, max_body=8 * 2**20)
"""Patience and memory for the past: answers are larger than those about the present."""

PastError = (SourceError, AnswerError)
"""What a request raises."""


class Past:
    """A Prometheus-compatible server and its record."""

    def __init__(self, url: str, access: Access = PAST_ACCESS) -> None:
        """Prepare; nothing is sent.

        Raises:
            ValueError: ``url`` is not an http or https URL.
        """
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("a Prometheus URL starts with http:// or https:// and names a host")
        self._url = f"{url.rstrip('/')}/api/v1"
        self._deadline = access.deadline
        self._session = BoundedSession(access)

    def instant(self, query: str, at: float) -> tuple[Series, ...]:
        """Return the answer to ``query`` as of the Unix time ``at``.

        Raises:
            SourceError, AnswerError
        """
        return self._ask("query", {"query": query, "time": f"{at:.3f}"})

    def over(self, query: str, begin: float, end: float, step: float) -> tuple[Series, ...]:
        """Return the answers to ``query`` each ``step`` seconds from ``begin`` to ``end``.

        Raises:
            SourceError, AnswerError
        """
        times = {"start": f"{begin:.3f}", "end": f"{end:.3f}", "step": f"{step:.3f}"}
        return self._ask("query_range", {"query": query, **times})

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def _ask(self, path: str, form: dict[str, str]) -> tuple[Series, ...]:
        self._session.begin()
        watchdog = threading.Timer(self._deadline, self._session.abort)
        watchdog.daemon = True
        watchdog.start()
        try:
            timeout = f"{self._deadline:g}s"
            answer = self._session.request(
                "POST", f"{self._url}/{path}", {**form, "timeout": timeout}
            )
        finally:
            watchdog.cancel()
        if warning := partial(answer.content):
            raise SourceError(warning)
        try:
            result = answer.json()["data"]["result"]
        except (ValueError, RecursionError):
            raise AnswerError("the answer is not JSON") from None
        except (KeyError, TypeError):
            raise AnswerError("the answer is not one of Prometheus") from None
        return parse(result)


def said(error: Exception) -> str:
    """Return ``error`` in words, with what Prometheus says about a query that it rejects."""
    rejected = about_query(error) if isinstance(error, RefusedError) else ""
    return f"the query is rejected: {rejected}" if rejected else str(error)


def is_about_query(error: Exception) -> bool:
    """Return whether the query must be changed, so that asking again cannot help."""
    return isinstance(error, RefusedError) and bool(about_query(error))
