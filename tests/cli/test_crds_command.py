"""`backstop crds` writes files, or says why it cannot."""

from click.testing import CliRunner

from backstop.cli.main import main


def test_directory_that_cannot_be_made_is_told(tmp_path):
    """In one sentence."""
    (tmp_path / "file").touch()
    result = CliRunner().invoke(main, ["crds", "--out", str(tmp_path / "file" / "crds")])
    assert result.output == f"Error: cannot make {tmp_path / 'file' / 'crds'}: Not a directory\n"
    assert result.exit_code == 1
