"""Pod templates without what the API server adds to them.

A ReplicaSet comes back with every default written out; a custom resource keeps the template as it
was sent. So the template of a Rollout and that of its ReplicaSet are compared without defaults, and
with quantities in one notation. How images are pulled is left out altogether, as its default
depends on the image.
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

_DEFAULTS: Final[Mapping[str, tuple[Any, ...]]] = {
    "apiVersion": ("v1",),
    "defaultMode": (420,),
    "divisor": ("0", 0),
    "dnsPolicy": ("ClusterFirst",),
    "expirationSeconds": (3600,),
    "failureThreshold": (3,),
    "periodSeconds": (10,),
    "protocol": ("TCP",),
    "restartPolicy": ("Always",),
    "schedulerName": ("default-scheduler",),
    "scheme": ("HTTP",),
    "successThreshold": (1,),
    "terminationGracePeriodSeconds": (30,),
    "terminationMessagePath": ("/dev/termination-log",),
    "terminationMessagePolicy": ("File",),
    "timeoutSeconds": (1,),
}
_LEFT_OUT: Final = frozenset({"imagePullPolicy", "serviceAccount"})
_QUANTITIES: Final = frozenset({"requests", "limits"})
_EMPTY: Final[tuple[Any, ...]] = (None, "", [], {})
_VERBATIM: Final = frozenset({"labels", "annotations", "matchLabels", "nodeSelector"})
"""Maps of people's own words, in which no key means what it does elsewhere."""
_SUFFIXES: Final[Mapping[str, Decimal]] = {
    **{s: Decimal(1024) ** (n + 1) for n, s in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"))},
    **{s: Decimal(1000) ** (n + 1) for n, s in enumerate(("k", "M", "G", "T", "P", "E"))},
    "m": Decimal("0.001"),
    "u": Decimal("0.000001"),
    "n": Decimal("0.000000001"),
}


def without_defaults(template: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``template`` for comparison only: it may lack what somebody wrote on purpose."""
    return {
        name: kept
        for name, value in template.items()
        if name not in _LEFT_OUT
        and (kept := _kept(name, value)) not in _EMPTY
        and kept not in _DEFAULTS.get(name, ())
    }


def _kept(name: str, value: Any) -> Any:
    if name in _VERBATIM:
        return value
    if name in _QUANTITIES and isinstance(value, Mapping):
        return {one: quantity(amount) for one, amount in value.items()}
    if name == "sizeLimit":
        return quantity(value)
    if isinstance(value, Mapping):
        # An empty volume, for one, is told by its key alone.
        inner = without_defaults(value)
        return inner or ({"": ""} if name == "emptyDir" else inner)
    if isinstance(value, list):
        return [without_defaults(one) if isinstance(one, Mapping) else one for one in value]
    return value


def quantity(value: Any) -> str:
    """Return a quantity of Kubernetes in plain digits; what is none is returned as text."""
    text = str(value)
    suffix = next((one for one in _SUFFIXES if text.endswith(one)), "")
    try:
        number = Decimal(text.removesuffix(suffix)) * _SUFFIXES.get(suffix, Decimal(1))
    except InvalidOperation:
        return text
    return f"{number.normalize():f}"
