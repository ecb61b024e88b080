"""What each question was answered with: the confirmed searches of a folder as a table.

A row is made from a run's ``search.json`` and ``best.json``, never by hand. Searches of demo faces,
those that were not confirmed, and all but the newest of a space at the same pixels and epochs stay
out.
"""

import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from tune.records.confirmation import Confirmation
from tune.records.retrain import BestRecord
from tune.records.search import SearchRecord
from utkface.config import TrainConfig
from utkface.evaluation.records import Evaluation
from utkface.evaluation.report.text import escape, show, show_fixed, table
from utkface.io import UserError

#: A search's folder, its record, and what training its best again showed.
Answer = tuple[Path, SearchRecord, Confirmation]
R = TypeVar("R", SearchRecord, Evaluation)

#: A path that lies elsewhere, by itself or as an option's value.
_OUTSIDE = re.compile(r"(--[^=]*=)?((?:/|\.\.|~|file:).*)", re.DOTALL)

_HEAD = [
    "question", "answer", "what won", "score", "age MAE, years", "gender accuracy, %", "pixels",
    "epochs", "trials", "run",
]  # fmt: skip
_INTRODUCTION = """\
## Answers

Each search trained its best trials, by default three, and its space's best starting point again
with fresh seeds; the best by the mean of all its seeds has won. Leads are in what the search
minimised, with 95 % intervals over faces and seeds, paired, on validation faces. The test part was
not looked at.\
"""


def describe_answers(answers: Sequence[Answer]) -> list[str]:
    """Return the paragraphs about confirmed searches, none where there is none."""
    newest: dict[tuple[str, int, int], Answer] = {}
    for folder, search, confirmation in sorted(answers, key=lambda answer: answer[1].created):
        asked = search.space, search.options.image_size, search.options.max_epochs
        newest[asked] = folder, search, confirmation
    rows = [_row(*newest[asked]) for asked in sorted(newest)]
    return [_INTRODUCTION, table(_HEAD, rows)] if rows else []


def describe_commands(answers: Sequence[Answer]) -> list[str]:
    """Return a paragraph for each confirmed search: its command, its commit, when it was begun."""
    paragraphs = []
    for path, search, _ in sorted(answers, key=lambda answer: answer[1].name):
        command, commit = within_reach(search.command), str(search.commit)
        facts = {"command": command, "commit": commit, "begun": search.created}
        paragraphs.append(describe_run(path.name, facts))
    return paragraphs


def read_answers(results: Path) -> list[Answer]:
    """Return the confirmed searches of a folder on real faces."""
    return [
        (folder, search, search.confirmation)
        for folder, search in read_runs(results, "search.json", SearchRecord.read)
        if search.confirmation is not None
    ]


def read_runs(results: Path, file: str, read: Callable[[Path], R]) -> Iterator[tuple[Path, R]]:
    """Yield the folders that have a file, and what it says, of runs on real faces.

    What cannot be read is left out with one line on standard error.
    """
    for path in results.glob(f"*/{file}"):
        try:
            record = read(path)
        except UserError as error:
            print(f"league: left out: {error}", file=sys.stderr)
            continue
        if not record.data.is_demo:
            yield path.parent, record


def describe_run(name: str, facts: Mapping[str, object]) -> str:
    """Return the paragraph about a run: a line for each fact."""
    lines = [f"- {what}: {escape(value)}" for what, value in facts.items()]
    return "\n".join([f"### {escape(name)}", "", *lines])


def within_reach(command: str) -> str:
    """Return a command without folders outside the project, where nobody else finds anything."""
    words = shlex.split(command)
    for i, word in enumerate(words):
        if away := _OUTSIDE.fullmatch(word):
            words[i] = (away[1] or "") + Path(away[2]).name
    return shlex.join(words)


def _row(path: Path, search: SearchRecord, confirmation: Confirmation) -> list[str]:
    winner = confirmation.winner
    return [
        escape(search.question),
        escape(confirmation.sentence()),
        escape(_what_won(path, search)),
        show_fixed(winner.score, 3),
        show_fixed(winner.age_mae, 2),
        show_fixed(100 * winner.gender_accuracy, 1),
        show(search.options.image_size),
        show(search.options.max_epochs),
        show(search.options.num_trials),
        f"[{escape(path.name)}]({quote(path.name)}/)",
    ]


def _what_won(path: Path, search: SearchRecord) -> str:
    """Return the winner's values of what was searched, where ``best.json`` is there to say so."""
    try:
        config = BestRecord.read(path / "best.json").config
    except UserError:
        return "–"
    defaults = TrainConfig().to_dict()
    parameters = search.space_signature.parameters
    most = max((parameter.num_draws for parameter in parameters.values()), default=0)
    return ", ".join(
        f"{name} {show(config[name])}"
        for name, parameter in parameters.items()
        # One that only some trials have is at its default where the winner had it not.
        if name in config and (parameter.num_draws == most or config[name] != defaults.get(name))
    )
