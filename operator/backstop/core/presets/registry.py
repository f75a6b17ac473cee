"""The presets that exist: every module in this package with a ``PRESET``.

Adding a preset is adding one module; nothing else lists them.
"""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType

import backstop.core.presets as package
from backstop.core.presets.preset import Preset


@cache
def presets() -> MappingProxyType[str, Preset]:
    """Return the presets by name, sorted."""
    modules = (
        import_module(f"{package.__name__}.{one.name}") for one in iter_modules(package.__path__)
    )
    found = (preset for module in modules if (preset := vars(module).get("PRESET")) is not None)
    return MappingProxyType({one.name: one for one in sorted(found, key=lambda one: one.name)})
