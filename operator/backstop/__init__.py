"""Backstop keeps a failing machine-learning model from hurting its users.

The package is layered: ``core`` decides and performs no I/O, ``api`` describes the custom
resources, ``adapters`` talk to one outside system each through the Protocols in ``ports``,
``runtime`` drives the loop, and ``cli`` is what a person types.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("backstop")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0.0.0"

__all__ = ["__version__"]
