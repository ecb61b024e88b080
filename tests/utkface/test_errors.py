"""A user's mistake ends a command with one line and status 2; a bug keeps its traceback."""

import pytest

from utkface.errors import UserError, run_command


def fail(error):
    def main():
        raise error

    return main


@pytest.mark.parametrize(
    ("main", "status", "printed"),
    [
        (lambda: None, 0, ""),
        (lambda: 0, 0, ""),
        (lambda: 3, 3, ""),
        (fail(UserError("no faces in x; give --data")), 2, "error: no faces in x; give --data\n"),
        (fail(KeyboardInterrupt()), 130, "interrupted\n"),
    ],
)
def test_a_command_exits_with_its_status(main, status, printed, capsys):
    with pytest.raises(SystemExit) as caught:
        run_command(main)
    assert caught.value.code == status
    assert capsys.readouterr().err == printed


@pytest.mark.parametrize("error", [ValueError("a bug"), AssertionError("an invariant")])
def test_a_bug_is_not_hidden(error):
    with pytest.raises(type(error), match=str(error)):
        run_command(fail(error))


def test_a_user_error_is_a_value_error():
    assert issubclass(UserError, ValueError)
