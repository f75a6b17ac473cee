"""Metrics sources: each answers queries with readings and never raises."""
