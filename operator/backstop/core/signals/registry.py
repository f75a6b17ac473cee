"""The signal kinds that exist: every Rule in this package, found by its module.

Adding a kind is adding one module; nothing else lists them.
"""

import inspect
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType

import backstop.core.signals as package
from backstop.core.signals.rule import Rule


@cache
def kinds() -> MappingProxyType[str, type[Rule]]:
    """Return the rule of each kind by the name of its field in a signal, sorted by name."""
    found: dict[str, type[Rule]] = {}
    for module in iter_modules(package.__path__):
        members = vars(import_module(f"{package.__name__}.{module.name}")).values()
        for member in members:
            if inspect.isclass(member) and issubclass(member, Rule) and "KIND" in vars(member):
                found[member.KIND] = member
    return MappingProxyType(dict(sorted(found.items())))
