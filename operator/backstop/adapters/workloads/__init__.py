"""Workload controllers: each knows revisions, and how to return to one."""
