"""What a search under attack kept and what it lost: the record at its end against the testimony."""

import csv
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from sleeper import score
from witness import Testimony

Endings = Mapping[str, tuple[float, int]]  # by trial: its last score and epoch


@dataclass
class Scorecard:
    """What became of the trials; all but the first two lines and the last should be 0."""

    kills: dict[str, int]
    trials: int
    lost: int  # ended once, and not on record at the end
    repeated: int  # ended twice
    changed: int  # on record with other values than they first ended with
    wrong: int  # on record with values that the configuration cannot have
    failed_restarts: int
    files_left: list[str]
    disagreements: list[str]
    epochs_trained: int
    epochs_twice: int
    damaged: dict[str, int] = field(default_factory=dict)
    wall_s: float = 0.0


def judge(testimony: Testimony, final: Endings) -> dict[str, int]:
    """Compare what was seen to end with what is on record at the end."""
    seen = testimony.endings
    kept = [trial for trial in seen if trial in final]
    return {
        "trials": len(final),
        "lost": len(seen) - len(kept),
        "repeated": sum(len(endings) > 1 for endings in seen.values()),
        "changed": sum(tuple(final[trial]) != seen[trial][0] for trial in kept),
        "epochs_trained": testimony.num_epochs,
        "epochs_twice": testimony.num_epochs_twice,
    }


def judge_run_folder(path: Path, testimony: Testimony, kills: Counter[str]) -> Scorecard:
    """Compare a run folder of ours with the testimony, and its files with each other."""
    from tune.records.run_folder import FINISHED, SearchFolder
    from tune.records.trials import STATES
    from tune.study.store import open_study, study_records

    folder = SearchFolder(path)
    records = study_records(open_study(folder.journal))
    final = {str(r.number): (r.score, len(r.epochs)) for r in records if r.state != "RUNNING"}
    wrong = sum(
        metrics["score"] != score(record.config["max_lr"], metrics["epoch"])
        for record in records
        for metrics in record.epochs
    )
    with (path / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    best = json.loads((path / "best.json").read_text())
    complete = {r.number: r.score for r in records if r.state == "COMPLETE"}
    counts = Counter(record.state for record in records)
    report = (path / "report.html").read_text()
    checks = {
        "the search is not finished": folder.record.status == FINISHED,
        "trial numbers have gaps": [r.number for r in records] == list(range(len(records))),
        "trials have not ended": counts["RUNNING"] == 0,
        **{f"trial {r.number} failed: {r.reason}": False for r in records if r.state == "FAIL"},
        "epochs are missing": all(
            [m["epoch"] for m in r.epochs] == list(range(1, len(r.epochs) + 1)) for r in records
        ),
        "trials.csv differs from the study": [
            (int(row["number"]), row["state"], float(row["score"]) if row["score"] else None)
            for row in rows
        ] == [(r.number, r.state, r.score) for r in records],
        "best.json differs from the study": complete.get(best["trial"]) == min(complete.values()),
        "the report differs from the study": all(
            f"{count} {STATES[state]}" in " ".join(report.split())
            for state, count in counts.items()
        ),
        "the study's copy differs": (
            folder.journal.read_bytes() == (path / "backup" / "study.journal").read_bytes()
        ),
    }  # fmt: skip
    kept = {f"trial_{best['trial']:04d}.pt"}
    left = [p for p in path.rglob("*") if ".tmp" in p.name or ".journal.lock" in p.name]
    left += [p for p in (path / "checkpoints").iterdir() if p.name not in kept]
    return Scorecard(
        kills=dict(kills), wrong=wrong, failed_restarts=0,
        files_left=[str(file.relative_to(path)) for file in left],
        disagreements=[text for text, holds in checks.items() if not holds],
        **judge(testimony, final),
    )  # fmt: skip


def to_markdown(cards: Mapping[str, Scorecard]) -> str:
    """Return the cards side by side as a table."""
    rows: dict[str, list[str]] = {}
    for card in cards.values():
        for name, value in asdict(card).items():
            text = str(len(value)) if isinstance(value, list) else str(value)
            if isinstance(value, dict):
                text = ", ".join(f"{number} {kind}" for kind, number in sorted(value.items()))
            rows.setdefault(name.replace("_", " "), []).append(text or "–")
    lines = [f"| | {' | '.join(cards)} |", "|---" * (len(cards) + 1) + "|"]
    lines += [f"| {name} | {' | '.join(values)} |" for name, values in rows.items()]
    return "\n".join(lines)
