"""The kubeconfig that a person means, looked at before the client library reads it.

The library does not look at the form of what it reads, and says of an absent file that a key is
missing in it.
"""

import os
from pathlib import Path
from typing import Any, Final

import yaml

from backstop.ports import OutsideError

_HINT: Final = "name one with --kubeconfig FILE or $KUBECONFIG"


def examine(kubeconfig: str | None, context: str | None) -> None:
    """Look for the file, or the files of $KUBECONFIG, and in them for ``context``.

    Raises:
        OutsideError: there is none, or it is not what a kubeconfig looks like.
    """
    named = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
    paths = [Path(one).expanduser() for one in named.split(os.pathsep) if one]
    files = [one for one in paths if one.exists()]
    if not files:
        raise _error(f"there is no file {named}; {_HINT}")
    current, contexts = None, list[str]()
    for file in files:
        body = _read(file)
        current = body.get("current-context") or current
        contexts += [str(one["name"]) for one in body.get("contexts") or ()]
    wanted = context or current
    known = f"it has {', '.join(contexts[:10])}" if contexts else "it has none"
    if wanted is None:
        raise _error(f"{named} says no current-context; choose one with --context: {known}")
    if wanted not in contexts:
        raise _error(f"there is no context {wanted} in {named}; {known}")


def _read(file: Path) -> dict[str, Any]:
    try:
        body = yaml.load(file.read_bytes(), Loader=yaml.CSafeLoader)
    except OSError as error:
        raise _error(f"{file} cannot be read: {error.strerror}; {_HINT}") from None
    except (yaml.YAMLError, ValueError):
        raise _error(f"{file} is not YAML; {_HINT}") from None
    parts = ("clusters", "contexts", "users")
    if not isinstance(body, dict) or not any(part in body for part in (*parts, "current-context")):
        raise _error(f"{file} is not a kubeconfig; {_HINT}")
    for part in parts:
        held = body.get(part) or []
        if not isinstance(held, list) or not all(
            isinstance(one, dict) and "name" in one for one in held
        ):
            raise _error(f"{file} is not a kubeconfig: {part} must be a list with names; {_HINT}")
    return body


def _error(said: str) -> OutsideError:
    return OutsideError(f"cannot load a Kubernetes configuration: {said}")
