"""Skips the tests that need the lab's cluster where there is none."""

import os

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "LAB_DIR" not in os.environ:
        skip = pytest.mark.skip(reason="needs `python -m backstop_lab exec -- pytest ...`")
        for item in items:
            if item.get_closest_marker("cluster") is not None:
                item.add_marker(skip)
