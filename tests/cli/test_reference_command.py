"""`backstop reference build`: exact counts from files of any size, or why there are none."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result

from backstop.cli import reference_data
from backstop.cli.main import main
from backstop.core.reference import KEY, parse


def build(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["reference", "build", *map(str, arguments)])


def built(*arguments: object) -> dict[str, Any]:
    """Return the reference in the manifest that is printed."""
    result = build(*arguments)
    assert result.exit_code == 0, result.output
    body = yaml.safe_load(result.stdout)
    parse(body["data"])
    return json.loads(body["data"][KEY])


def refused(*arguments: object) -> str:
    result = build(*arguments)
    assert result.exit_code == 1
    return result.output.removeprefix("Error: ").strip()


def csv(path: Path, text: str) -> Path:
    file = path / "data.csv"
    file.write_text(text, encoding="utf-8")
    return file


def test_numbers_become_histograms_and_texts_categories(tmp_path):
    """Missing values are counted in each column, and frequent exact values are kept."""
    rows = [f"{n},{'x' if n % 4 else 'y'},-1" for n in range(1, 101)]
    file = csv(tmp_path, "\n".join(["amount,kind,age", *rows, ",NA,null"]))
    found = built(file)
    amount, kind = found["features"]["amount"], found["categories"]["kind"]
    assert amount["edges"] == [1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]
    assert amount["counts"] == [1, 9, *[10] * 9, 0]
    assert kind == {"counts": {"x": 75, "y": 25}, "missing": 1}
    assert found["features"]["age"]["sentinels"] == {"-1": 100}
    assert (amount["missing"], found["rows"], found["name"]) == (1, 101, "data.csv")


def test_few_values_have_a_bucket_each(tmp_path):
    """No quantile hides one of them in another's bucket."""
    file = csv(tmp_path, "n\n" + "1\n" * 90 + "2\n" * 9 + "3\n")
    found = built(file)["features"]["n"]
    assert (found["edges"], found["counts"]) == ([1, 2, 3], [90, 9, 1, 0])


def test_chunks_change_nothing(tmp_path, monkeypatch):
    """A file larger than memory gives the counts of one that is not."""
    random = np.random.default_rng(1)
    lines = [
        f"{value:.2f},{'ab'[place % 2]}" for place, value in enumerate(random.normal(size=999))
    ]
    file = csv(tmp_path, "\n".join(["x,c", *lines]))
    whole = built(file)
    monkeypatch.setattr(reference_data, "ROWS", 10)
    parts = built(file)
    assert (parts["categories"], parts["rows"]) == (whole["categories"], 999)
    assert parts["features"] == whole["features"]


def test_a_sample_tells_the_edges_of_many_rows(tmp_path):
    """The counts are exact, and each bin holds about a tenth."""
    file = tmp_path / "data.npy"
    np.save(file, np.random.default_rng(2).normal(size=(200_000, 1)))
    found = built(file)["features"]["0"]
    assert sum(found["counts"]) == 200_000
    assert all(18_000 < count < 22_000 for count in found["counts"][1:-1])
    assert found["counts"][-1] == 0


def test_edges_of_the_exporter_are_used(tmp_path):
    """As many counts as there are buckets, the infinite one included once."""
    file = csv(tmp_path, "amount\n" + "\n".join(str(n) for n in range(1, 101)))
    edges = tmp_path / "edges.yaml"
    edges.write_text("amount: [50, 10, .inf]")
    found = built(file, "--edges", edges)["features"]["amount"]
    assert (found["edges"], found["counts"]) == ([10, 50], [10, 40, 50])


def test_scores_and_labels_are_what_the_model_answers(tmp_path):
    """Scores from 0 to 1 have the edges of the convention; labels are classes, also numbers."""
    rows = "\n".join(f"{n},{n / 100},{n % 2}" for n in range(101))
    file = csv(tmp_path, f"x,p,fraud\n{rows}")
    found = built(file, "--score", "p", "--label", "fraud", "--model-version", "v7")
    assert found["scores"]["edges"] == [step / 20 for step in range(1, 21)]
    assert found["predictions"] == {"counts": {"0": 51, "1": 50}, "missing": 0}
    assert (list(found["features"]), found["model"]) == (["x"], "v7")
    chosen = built(file, "--features", "x", "--score", "x")
    assert list(chosen["features"]) == []
    assert chosen["scores"]["edges"][-1] == 100


def test_the_hash_tells_the_binning_not_the_counts(tmp_path):
    """Two references with the same edges have the same hash, others have not."""
    edges = tmp_path / "edges.yaml"
    edges.write_text("a: [1, 2]")
    one = built(csv(tmp_path, "a\n1\n2\n"), "--edges", edges)["binning"]
    assert built(csv(tmp_path, "a\n1\n1\n5\n"), "--edges", edges)["binning"] == one
    edges.write_text("a: [1, 3]")
    assert built(csv(tmp_path, "a\n1\n2\n"), "--edges", edges)["binning"] != one


def test_a_few_odd_cells_leave_a_column_numeric(tmp_path):
    """One text among a hundred numbers is no category; among ten it is one."""
    numbers = "\n".join(str(n) for n in range(150))
    assert list(built(csv(tmp_path, f"n\n{numbers}\nodd\ninf\n"))["features"]) == ["n"]
    assert list(built(csv(tmp_path, "n\n1\n2\n3\nodd\n"))["categories"]) == ["n"]


def test_identifiers_are_left_out(tmp_path):
    """A column with thousands of texts is named and passed over; a few hundred are the top ones."""
    rows = "\n".join(f"u{n},c{n % 300}" for n in range(5_100))
    result = build(csv(tmp_path, f"id,city\n{rows}"))
    assert "left out id: too many different texts" in result.stderr
    found = json.loads(yaml.safe_load(result.stdout)["data"][KEY])
    assert list(found["categories"]) == ["city"]
    assert len(found["categories"]["city"]["counts"]) == 250
    assert found["categories"]["city"]["counts"]["__other__"] == 51 * 17


@pytest.mark.parametrize(
    ("saved", "arguments", "features"),
    [
        (np.ones((4, 2)), (), ["0", "1"]),
        (np.ones((4, 2)), ("--features", "a,b"), ["a", "b"]),
        (np.ones((4, 2)), ("--features", "1"), ["1"]),
        (np.array([(1.0, 2)], dtype=[("x", "f8"), ("y", "i4")]), (), ["x", "y"]),
    ],
)
def test_arrays_are_tables(tmp_path, saved, arguments, features):
    """Columns are numbered, or named by the array or the command."""
    file = tmp_path / "data.npy"
    np.save(file, saved)
    assert list(built(file, *arguments)["features"]) == features


def test_archives_hold_columns_or_one_table(tmp_path):
    """Each member is a column by its name; texts are categories."""
    file = tmp_path / "data.npz"
    np.savez(file, a=np.arange(5.0), c=np.array(list("xxyyx")))
    found = built(file)
    assert (list(found["features"]), list(found["categories"])) == (["a"], ["c"])
    np.savez(file, np.ones((3, 2)))
    assert list(built(file)["features"]) == ["0", "1"]
    np.savez(file, a=np.arange(5.0), b=np.arange(4.0))
    assert refused(file) == "the arrays in data.npz are not columns of one length"


def test_parquet_is_read_in_batches(tmp_path):
    """With pyarrow installed its columns are like those of CSV."""
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    file = tmp_path / "data.parquet"
    table = {"n": [1.0, 2.0, None], "b": [True, False, True], "c": ["x", None, "x"]}
    parquet.write_table(pyarrow.table(table), file)
    found = built(file)
    assert found["features"]["n"]["missing"] == 1
    assert found["features"]["b"]["counts"] == [1, 2, 0]
    assert found["categories"]["c"] == {"counts": {"x": 2}, "missing": 1}


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    """It is an extra, as it is larger than all else together."""
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    file = tmp_path / "data.parquet"
    file.write_bytes(b"PAR1")
    assert refused(file) == "Parquet needs pyarrow: pip install 'backstop[parquet]'"


def test_a_manifest_is_written_for_kubectl(tmp_path):
    """The name is that of the file unless given, and the hash is an annotation."""
    out = tmp_path / "reference.yaml"
    result = build(csv(tmp_path, "a\n1\n2\n"), "--out", out)
    assert result.output == f"wrote {out}; now: kubectl apply --server-side -f {out}\n"
    body = yaml.safe_load(out.read_text())
    assert (body["kind"], body["metadata"]["name"]) == ("ConfigMap", "data")
    assert body["metadata"]["annotations"]["backstop.dev/binning"].startswith("sha256:")
    build(csv(tmp_path, "a\n1\n2\n"), "--out", out, "--name", "fraud.training")
    assert yaml.safe_load(out.read_text())["metadata"]["name"] == "fraud.training"


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        ("a\n1\n", ("--features", "b"), "there is no column b; there are a"),
        ("a,b\n1,2\n", ("--score", "c"), "--score: there is no column c; there are a, b"),
        ("a,b\n1,2\n", ("--label", "c"), "--label: there is no column c; there are a, b"),
        ("a;b\n1;2\n", (), "data.csv: columns are separated by ';'; write commas"),
        ("a,b,a\n1,2,3\n", (), "data.csv has two columns a: give each a name of its own"),
        ("", (), "data.csv is empty; the first row names the columns"),
        ("a\n", (), "data.csv holds no column to describe"),
        ("a\n\n", (), "no reference can be made of features.a.edges"),
        ("a\nx\n", ("--score", "a"), "the scores in a are not numbers"),
        ("a\n1\n", ("--name", "No_Name"), "No_Name is no name for a ConfigMap"),
    ],
)
def test_what_cannot_be_described_is_said(tmp_path, text, arguments, said):
    """One line, no traceback."""
    assert refused(csv(tmp_path, text), *arguments).startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1, 2]", "edges.yaml is not a map from columns to lists of edges"),
        ("a: [x]", "edges.yaml is not a map from columns to lists of edges"),
        ("a: [", "edges.yaml is not a map from columns to lists of edges"),
        ("b: [1]", "edges.yaml: there is no column b"),
        ("a: [.inf]", "edges.yaml: there are no edges for a"),
    ],
)
def test_edges_that_cannot_be_used_are_said(tmp_path, text, said):
    """One line that names the file."""
    edges = tmp_path / "edges.yaml"
    edges.write_text(text)
    assert refused(csv(tmp_path, "a\n1\n"), "--edges", edges).startswith(said)


def test_files_of_other_kinds_are_refused(tmp_path):
    """By their names, or by what is in them."""
    for name, content, said in (
        ("data.txt", b"a\n1\n", "data.txt is not CSV, Parquet, .npy or .npz, by its name"),
        ("data.csv", b"\xff\xfe\x00", "data.csv cannot be read"),
        ("data.npy", b"no array", "data.npy cannot be read"),
    ):
        file = tmp_path / name
        file.write_bytes(content)
        assert refused(file).startswith(said)
    file = tmp_path / "data.npy"
    np.save(file, np.ones(3))
    assert refused(file) == "the array is not a table of rows and columns"


def test_a_reference_larger_than_a_config_map_is_refused(tmp_path):
    """With what to do about it, and nothing written."""
    file = tmp_path / "data.npy"
    np.save(file, np.random.default_rng(3).normal(size=(300, 900)))
    out = tmp_path / "out.yaml"
    said = refused(file, "--bins", 100, "--out", out)
    assert "bytes, and a ConfigMap holds 900,000: choose fewer columns" in said
    assert not out.exists()


def test_edges_of_a_category_are_refused(tmp_path):
    """They would be left out in silence."""
    (edges := tmp_path / "edges.yaml").write_text("kind: [1, 2]")
    said = refused(csv(tmp_path, "kind\nx\ny\n"), "--edges", edges)
    assert said == "edges.yaml: kind is a category, which has no edges"


def test_place_that_cannot_be_written_is_told_before_the_data_is_read(tmp_path):
    """Not after hours of reading."""
    result = build(csv(tmp_path, "a;b\n"), "--out", tmp_path / "absent" / "reference.yaml")
    assert f"'--out': there is no directory {tmp_path / 'absent'}: make it first" in result.output
    assert result.exit_code == 2
