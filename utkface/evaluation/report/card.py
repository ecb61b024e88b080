"""The model card: what a model is, how it was judged, and what it is not for, as Markdown.

Sections after Mitchell et al., *Model Cards for Model Reporting* (2019).
"""

from utkface.evaluation.measures import MEASURES
from utkface.evaluation.records import Evaluation, Row
from utkface.evaluation.report import findings
from utkface.evaluation.report.text import (
    attribute_title,
    escape,
    show,
    show_duration,
    show_hardware,
    table,
)

_CARD_GROUPS = ("age", "gender", "race", "luminance")
#: What the tools of this project can do about a gap, by the attribute that groups differ in.
_REMEDIES = {
    "age": "draw rare ages more often: `--space oversampling`, or weights from validation errors: "
    "`python -m utkface.evaluation.weak_groups`, then `--space weak_groups`",
    "gender": "weights from validation errors; of small children no photograph may tell it",
    "race": "weights from validation errors: `--space weak_groups`; more photographs help most",
    "luminance": "vary brightness more in training: `--space augmentation`",
    "brisque": "blur and noise in training (`blur_p`, `noise_std`); refuse poor photographs",
    "poor_quality": "refuse photographs that poor, or say how unsure the age is (its interval)",
}

_DATA = """\
[UTKFace](https://susanqq.github.io/UTKFace/), aligned and cropped: photographs of people from 1 to
116 years with age, gender and race in the file name. **Non-commercial research use only**; the
photographs belong to their owners. No photograph is part of this model or of its repository."""

_OTHER_DATA = """\
Photographs that are not UTKFace's, with age, gender and race in the file name. Their terms are not
known here, and the photographs belong to their owners. No photograph is part of this model or of
its repository."""

_DEMO = "> **DEMO FACES: drawn by a program.** These numbers say nothing about real people."
_DEMO_DATA = "Faces drawn by `utkface.data.demo`, part of this project, under its licence."

_INTENDED = """\
Research on models of age and gender and on their errors: how they differ between groups, what image
quality does to them, what they look at. Pictures must be aligned and cropped as the data set's are;
there is no face detector in it."""

_UNINTENDED = """\
Not for deciding anything about a person (access, age checks, hiring, policing, medicine), for
identifying or tracking people, or for anything commercial, which the data's terms rule out. Not for
faces of children in any product. Not for saying who a person is: see the limits."""

_ETHICS = """\
A label read from a face is a guess, and it is wrong more often for some groups than for others: the
gaps above are part of the result. The photographs were collected from the web, and the people on
them were not asked. Gender here has two values because the labels have."""

_USE = """\
```python
from utkface.predict import Predictor

predictor = Predictor.load("model.pt")
print(predictor(["face.jpg"]))
```"""


def write_model_card(evaluation: Evaluation, row: Row) -> str:
    """Return one row's model card, as Markdown; photographs are never in it."""
    is_demo, is_utkface = evaluation.data.is_demo, evaluation.data.is_utkface
    demo = " (demo faces)" if is_demo else ""  # said in every row of a table
    title = f"# Model card: {escape(row.label)}, {escape(row.protocol)} split"
    sections = {
        "Model details": _details(evaluation, row),
        "Data and licence": _DEMO_DATA if is_demo else _DATA if is_utkface else _OTHER_DATA,
        "Protocol": _protocol(evaluation, row),
        "The worst groups": _gaps(row, demo),
        "Numbers": _numbers(row, demo),
        "All groups": _groups(row, demo),
        "Limits": "\n".join(f"- {text}" for text in findings.limits(evaluation.data)),
        "Intended use": _INTENDED,
        "Unintended use": _UNINTENDED,
        "Ethical notes": _ETHICS,
        "How to use it": _USE,
    }
    parts = [title, *([_DEMO] if is_demo else []), escape(findings.headline_sentence(row))]
    parts += [f"## {name}\n\n{text}" for name, text in sections.items() if text]
    return "\n\n".join(parts) + "\n"


def _details(evaluation: Evaluation, row: Row) -> str:
    config, by = row.config, findings.evaluated_by(evaluation)
    facts = {
        "network": f"{show(config.backbone)}, one head for age and one for gender",
        "backbone began with": show(evaluation.weights),
        "age": f"by {show(config.age_loss)} loss",
        "input": f"{config.image_size or evaluation.image_size} px, RGB",
        "training": f"{config.epochs or evaluation.epochs} epochs on "
        f"{show(row.num_train)} faces, {show_duration(row.seconds_per_seed)} for each of "
        f"{findings.count(row.num_seeds, 'seed')}",
        "hardware": show_hardware(evaluation.hardware),
        "search": show(evaluation.search),
        "run": evaluation.name,
        "begun": evaluation.created,
        "commit": show(evaluation.commit),
        **({"evaluated by": f"{by.command} (commit {show(by.commit)})"} if by else {}),
        "licence of the code": "MIT",
    }
    lines = [f"- {name}: {escape(value)}" for name, value in facts.items()]
    known = config.model_dump(exclude_unset=True)
    if "amp" in known and not evaluation.hardware.trains_on_gpu:
        known["amp"] = "off (trained on CPUs)"
    elif known.get("amp") == "auto":
        known["amp"] = "bf16 (fp16 on a card without it)"
    settings = ", ".join(f"{name}: {show(value)}" for name, value in known.items())
    return "\n".join([*lines, f"- settings: {escape(settings or '–')}"])


def _protocol(evaluation: Evaluation, row: Row) -> str:
    looks = "averaged with its mirror image's" if evaluation.flip else "of one look"
    lines = [
        findings.protocol_sentence(row.protocol, row.part) or f"The {row.protocol} split.",
        findings.choice_sentence(row, evaluation.search, evaluation.search_split),
        findings.leak_sentence(evaluation) if row.protocol == "random" else None,
        f"Judged on {findings.count(row.num_faces, 'face')} of the {row.part} part in "
        f"{findings.count(row.num_groups, 'group')} of copies; each prediction is {looks}.",
        findings.spread_sentence(row),
        "Intervals are 95 % (bootstrap over groups of copies).",
    ]
    return "\n".join(f"- {escape(line)}" for line in lines if line)


def _numbers(row: Row, demo: str) -> str:
    lines = []
    for name, measure in MEASURES.items():
        estimate = row.metric(name)
        value, interval = measure.show(estimate.value), measure.interval(estimate)
        lines.append([measure.heading + demo, value, interval, measure.show_spread(estimate)])
    text = table(["metric", "value", "95 % interval", "± between seeds"], lines)
    return "\n\n".join(filter(None, [text, findings.interval_sentence(row)]))


def _groups(row: Row, demo: str) -> str:
    lines = []
    for attribute in _CARD_GROUPS:
        for group in row.subgroups.get(attribute, []):
            name = f"{attribute_title(attribute)}: {group.group}" + " (few)" * group.small
            lines.append([escape(name) + demo, show(group.num_faces)])
            for metric in ("age_mae", "gender_accuracy"):
                measure, estimate = MEASURES[metric], getattr(group, metric)
                lines[-1] += [measure.show(estimate.value), measure.interval(estimate)]
    head = ["group", "faces", "age MAE, years", "95 %", "gender accuracy, %", "95 %"]
    return table(head, lines) if lines else ""


def _gaps(row: Row, demo: str) -> str:
    lines = []
    for attribute, gaps in row.gaps.items():
        for metric, gap in gaps.items():
            measure = MEASURES[metric]
            lines.append([
                escape(attribute_title(attribute)) + demo,
                f"{measure.title}, {measure.unit_of_difference}",
                escape(gap.worst), escape(gap.best),
                *(
                    f"{measure.show_signed(gap.value)} ({measure.interval(gap)})"
                    for gap in (gap.worst_minus_best, gap.worst_minus_all)
                ),
            ])  # fmt: skip
    if not lines:
        return ""
    head = ["by", "metric", "worst group", "best group", "worst − best", "worst − all"]
    note = "In brackets 95 % intervals. Which group is the worst was found on the same faces."
    actions = [
        f"- {attribute_title(name)}: {remedy}."
        for name, remedy in _REMEDIES.items()
        if name in row.gaps
    ]
    return "\n\n".join([
        table(head, lines, num_texts=4), note, "What can be done about them:", "\n".join(actions),
    ])  # fmt: skip
