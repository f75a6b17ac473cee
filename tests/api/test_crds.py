"""The CRDs are what the models say, bounded everywhere, and the committed files are up to date."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
import yaml
from click.testing import CliRunner
from pydantic import BaseModel, Field, StringConstraints

from backstop.api.base import KeyedBy
from backstop.api.crd import (
    DEFAULT_PREDICTION_SUFFIX,
    KINDS,
    Kind,
    crd_yaml,
    custom_resource_definition,
    object_schema,
)
from backstop.api.schema import SchemaError, plain_text, structural_schema
from backstop.cli.main import main
from backstop.core.signals.registry import kinds
from backstop.core.view import default_prediction_service

CRDS = Path(__file__).parents[2] / "crds"
Short = Annotated[str, StringConstraints(max_length=8)]


def nodes(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each part of a structural schema with its path."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for key, suffix in (("items", "[]"), ("additionalProperties", ".*")):
        if key in schema:
            yield from nodes(schema[key], f"{path}{suffix}")


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    return structural_schema(model, path="spec", defaults=True)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_committed_file_is_what_the_models_say(kind: Kind):
    """Nobody has edited crds/ by hand or forgotten `backstop crds --out crds`."""
    assert (CRDS / kind.file_name).read_text(encoding="utf-8") == crd_yaml(kind)


def test_no_other_file_is_committed():
    """A kind that is gone leaves no CRD behind."""
    assert {file.name for file in CRDS.iterdir()} == {kind.file_name for kind in KINDS}


def test_printed_crds_are_the_written_ones(tmp_path):
    """`backstop crds` prints all CRDs as one stream, `--out` writes the same to files."""
    printed = CliRunner().invoke(main, ["crds"])
    written = CliRunner().invoke(main, ["crds", "--out", str(tmp_path / "new")])
    assert printed.exit_code == written.exit_code == 0
    files = [tmp_path / "new" / kind.file_name for kind in KINDS]
    assert written.output.split() == [str(file) for file in files]
    assert list(yaml.safe_load_all(printed.output)) == [
        yaml.safe_load(file.read_text(encoding="utf-8")) for file in files
    ]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_field_is_described(kind: Kind):
    """`kubectl explain` says something about each field, without markup of our own tools."""
    schema = object_schema(kind)["properties"]
    for part in ("spec", "status"):
        for path, node in nodes(schema[part], part):
            if not path.endswith(("[]", ".*")):
                assert node.get("description", "").strip(), path
            assert ":class:" not in node.get("description", ""), path
            assert "  " not in node.get("description", ""), path


def test_every_signal_kind_has_a_field():
    """A kind in the registry is a field of a signal, with the words of its own docstring."""
    spec = object_schema(KINDS[0])["properties"]["spec"]["properties"]
    fields = spec["signals"]["items"]["properties"]
    for name, rule in kinds().items():
        assert fields[name]["description"] == plain_text(rule.__doc__ or "")


@pytest.mark.parametrize(
    ("annotation", "complaint"),
    [
        (str, "spec.field has no limit: give the string a maxLength"),
        (str | None, "spec.field has no limit: give the string a maxLength"),
        (list[Short], "spec.field has no limit: give the array a maxItems"),
        (
            Annotated[list[str], Field(max_length=3)],
            "spec.field[] has no limit: give the string a maxLength",
        ),
        (dict[Short, Short], "spec.field has no limit: give the object a maxProperties"),
        (
            Annotated[dict[str, Short], Field(max_length=3)],
            "spec.field has no limit: give the names of the map a maxLength",
        ),
        (
            Annotated[dict[Short, str], Field(max_length=3)],
            "spec.field.* has no limit: give the string a maxLength",
        ),
        (float, "spec.field has type 'number', which has no place in a CRD"),
        (Any, "spec.field has type None, which has no place in a CRD"),
        (int | Short, "spec.field is a union; a structural schema has one type"),
    ],
)
def test_what_a_crd_cannot_hold_is_refused(annotation, complaint):
    """A model that could fill etcd, or has no structural schema, is told by the field's path."""

    class Model(BaseModel):
        field: annotation

    with pytest.raises(SchemaError) as refusal:
        schema_of(Model)
    assert str(refusal.value) == complaint


def test_limit_is_demanded_at_any_depth():
    """The path in the message leads through lists and models to the field."""

    class Inner(BaseModel):
        text: str

    class Outer(BaseModel):
        inner: Annotated[list[Inner], Field(max_length=2)]

    with pytest.raises(SchemaError, match=r"^spec\.inner\[\]\.text has no limit"):
        schema_of(Outer)


class Tree(BaseModel):
    """A model that contains itself."""

    child: "Tree | None" = None


def test_recursive_model_is_refused():
    """A schema without end ends in an error and not in a hang."""
    with pytest.raises(SchemaError, match="nested too deeply or contains itself"):
        schema_of(Tree)


def test_keyed_list_becomes_a_map():
    """The API server merges a keyed list by its keys, and the model refuses equal keys as well."""

    class Item(BaseModel):
        name: Short
        arm: Short

    class Model(BaseModel):
        items: Annotated[list[Item], Field(max_length=4), KeyedBy(("name", "arm"))]

    items = schema_of(Model)["properties"]["items"]
    assert items["x-kubernetes-list-type"] == "map"
    assert items["x-kubernetes-list-map-keys"] == ["name", "arm"]
    Model(items=[Item(name="a", arm="x"), Item(name="a", arm="y")])
    with pytest.raises(ValueError, match="two entries have the name and arm 'a and x'"):
        Model(items=[Item(name="a", arm="x"), Item(name="a", arm="x")])


def test_service_name_is_the_one_that_the_core_uses():
    """The length that the CRD allows for a name fits the Service that is made from it."""
    assert default_prediction_service("fraud") == f"fraud{DEFAULT_PREDICTION_SUFFIX}"


def test_only_what_the_api_server_knows_is_emitted():
    """No reference, union, title or null is left, and status has no defaults."""
    for kind in KINDS:
        version = custom_resource_definition(kind)["spec"]["versions"][0]
        schema = version["schema"]["openAPIV3Schema"]["properties"]
        for part in ("spec", "status"):
            for path, node in nodes(schema[part], part):
                assert node.keys().isdisjoint({"$ref", "anyOf", "title", "const", "nullable"}), path
                assert node.get("default", 0) is not None, path
                assert part == "spec" or "default" not in node, path
