"""Journals cut short or with flipped bytes, by the hundred: whole again, or refused in one line."""

import functools
import random
import shutil
from collections import Counter

import optuna
import pytest
from optuna.storages.journal import JournalFileBackend, JournalStorage
from optuna.trial import TrialState

from tune.spaces.space import load_space
from tune.study.store import SEARCH_STUDY, open_study
from tune.study.study import SearchStudy
from utkface.io import UserError

SEED, NUM_JOURNALS = 20261125, 200
FIXED = {"epochs": 6, "image_size": 32, "seed": 0}


def run(study, chance):
    """Run a trial to its end, which early stopping or a value that is no number may bring on."""
    number = study.next_trial().number
    for epoch in range(1, FIXED["epochs"] + 1):
        score = chance.random() if chance.random() > 0.05 else float("nan")
        if (
            study.report(number, {"epoch": epoch, "score": score, "smooth_score": score})
            != TrialState.RUNNING
        ):
            break


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A search's journal: trials of every state, and lines that optuna-dashboard added."""
    path = tmp_path_factory.mktemp("whole") / "run" / "study.journal"
    path.parent.mkdir()
    study = SearchStudy(path, load_space("quick", fixed=FIXED), FIXED)
    chance = random.Random(SEED)
    for note in range(3):
        for _ in range(5):
            run(study, chance)
        dashboard = JournalStorage(JournalFileBackend(str(path)))
        dashboard.set_study_user_attr(0, "note", note)
    study.fail(study.next_trial().number, "its machine fell over")
    study.report(study.next_trial().number, {"epoch": 1, "score": 0.25, "smooth_score": 0.25})
    states = {trial.state for trial in study.study.get_trials()}
    assert states >= {TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING}
    return path.read_bytes()


def content(study):
    """Return all that a study holds, to the digit."""
    return study.get_trials(), study.user_attrs, study.directions


@pytest.fixture
def content_of(whole, tmp_path):
    """Return what Optuna alone makes of so many of the whole journal's lines."""
    lines = whole.splitlines(keepends=True)

    @functools.cache
    def replay(num_lines):
        path = tmp_path / f"{num_lines}.journal"
        path.write_bytes(b"".join(lines[:num_lines]))
        storage = JournalStorage(JournalFileBackend(str(path)))
        return content(
            optuna.create_study(
                storage=storage, study_name=f"run: {SEARCH_STUDY}", load_if_exists=True
            )
        )

    return replay


def reopen(tmp_path, files):
    """Return a study's content from its two files."""
    folder = tmp_path / "run"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "backup").mkdir(parents=True)
    for path, damaged in zip(("study.journal", "backup/study.journal"), files, strict=True):
        (folder / path).write_bytes(damaged)
    return content(open_study(folder / "study.journal"))


def flip(whole, chance, lines):
    """Change one to three bytes in these lines (by number); return the new content."""
    damaged, ends = bytearray(whole), [-1]
    ends += [place for place, byte in enumerate(whole) if byte == 10]
    for _ in range(chance.randint(1, 3)):
        line = chance.choice(lines)
        # A lost end of line would damage the next line, too.
        damaged[chance.randrange(ends[line] + 1, ends[line + 1])] ^= chance.randint(1, 255)
    return bytes(damaged)


@pytest.mark.slow
@pytest.mark.parametrize("num_cut", [1, 2])
def test_a_journal_cut_anywhere_has_all_that_was_written_before(
    whole, content_of, tmp_path, num_cut
):
    chance = random.Random(SEED + num_cut)
    outcomes = Counter()
    for _ in range(NUM_JOURNALS):
        files = [whole[: chance.randrange(len(whole))] for _ in range(num_cut)]
        files += [whole] * (2 - num_cut)
        chance.shuffle(files)
        longest = max(files, key=len)
        # Of a line that lacks but its end, all is there.
        num_lines = {longest.count(b"\n")}
        if whole.startswith(longest + b"\n"):
            num_lines.add(longest.count(b"\n") + 1)
        expected = [content_of(number) for number in num_lines]
        outcomes[_judge(tmp_path, files, expected)] += 1
    print(outcomes)
    assert outcomes == {"whole": NUM_JOURNALS}


@pytest.mark.slow
@pytest.mark.parametrize("where", ["one file", "both files", "one place"])
def test_flipped_bytes_are_mended_or_told(whole, content_of, tmp_path, where):
    chance = random.Random(SEED)
    num_lines = whole.count(b"\n")
    expected = [content_of(num_lines)]
    outcomes = Counter()
    for _ in range(NUM_JOURNALS):
        lines = chance.sample(range(num_lines), num_lines)
        if where == "one file":
            files = [flip(whole, chance, lines), whole]
        elif where == "both files":
            half = num_lines // 2
            files = [flip(whole, chance, lines[:half]), flip(whole, chance, lines[half:])]
        else:
            files = [flip(whole, chance, lines[:1]), flip(whole, chance, lines[:1])]
        chance.shuffle(files)
        outcomes[_judge(tmp_path, files, expected)] += 1
    print(where, outcomes)
    assert outcomes == {"refused" if where == "one place" else "whole": NUM_JOURNALS}


def _judge(tmp_path, files, expected):
    try:
        return "whole" if reopen(tmp_path, files) in expected else "wrong"
    except UserError as error:
        return "refused" if "\n" not in str(error) else "refused in several lines"
    except Exception as error:  # from inside Optuna
        return type(error).__name__
