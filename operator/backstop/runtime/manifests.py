"""YAML as people write it: read as the API server would, and its mistakes told by line.

A key that is written twice is refused: the last one would win, in silence, and two monitors without
a line ``---`` between them would become one.
"""

import re

import yaml


class TwiceError(yaml.constructor.ConstructorError):
    """A key is written twice."""


class Loader(yaml.CSafeLoader):
    """Refuses keys that come twice, and aliases of what they are a part of."""

    def construct_document(self, node: yaml.Node) -> object:
        """Return the document; the inner parts first, so that a part of itself is noticed."""
        self.deep_construct = True
        return super().construct_document(node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:  # noqa: FBT001, FBT002 - as in the library
        """Return the mapping."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    said = (
                        f"{key.value} is written twice; if a new object begins, put --- before it"
                    )
                    raise TwiceError(None, None, said, key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


# For kubectl a commit such as 1234e56 is a number; for the library only with a dot in it.
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+"), list("-+0123456789")
)


def load(data: bytes) -> list[object]:
    """Return the documents in ``data``.

    Raises:
        ValueError: it is not YAML; the message says where, and what to change.
    """
    try:
        return list(yaml.load_all(data, Loader=Loader))
    except (yaml.YAMLError, ValueError) as error:
        raise ValueError(told(error, data)) from None
    except RecursionError:
        raise ValueError("is not valid YAML: it is nested too deeply") from None


def told(error: Exception, data: bytes) -> str:
    """Return what is wrong with the YAML ``data``, in one line."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return f"is not valid YAML: {' '.join(str(error).split())}"
    number = error.problem_mark.line
    lines = data.decode(errors="replace").splitlines()
    line = lines[number] if number < len(lines) else ""
    where = f"line {number + 1} is not valid YAML"
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return f"{where}: it is indented with a tab; use spaces"
    if "{{" in line:
        return f"{where}: {{{{ begins a template; render it first, for example with helm template"
    return f"{where}: {error.problem}"
