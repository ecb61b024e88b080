"""What the search command says without searching."""

from tune.run_search import main
from tune.spaces.file import list_spaces


def test_spaces_are_listed_with_their_questions(capsys):
    assert main(["--list-spaces"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(list_spaces()) >= 7
    assert all("?" in line for line in lines)


def test_a_dry_run_checks_and_explains_and_starts_nothing(tmp_path, capsys):
    arguments = ["--space", "oversampling", "--data", "demo", "--image-size", "32"]
    results = tmp_path / "results"
    assert main([*arguments, "--weights", "none", "--results", str(results), "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "oversample_balance" in out
    assert "draws per epoch" in out
    assert "minimised: smooth_score" in out
    assert not results.exists()
