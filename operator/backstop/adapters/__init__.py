"""One adapter per outside system, each behind a Protocol of :mod:`backstop.ports`.

An adapter translates: calls into the other system's API, its errors into those of the port, and its
answers into plain facts. It decides nothing and retries no write.
"""
