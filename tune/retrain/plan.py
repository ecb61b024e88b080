"""What is retrained: which models, of which configurations, on which faces."""

from dataclasses import dataclass

from tune.options.retrain import RetrainOptions
from tune.records.retrain import INTERVAL, RETRAIN, Finalist, Job
from utkface.data import Faces, Split


@dataclass(frozen=True)
class Plan:
    """A retraining's ingredients: nothing has been written or started yet."""

    options: RetrainOptions  # with search, weights and data as decided
    finalists: list[Finalist]
    faces: Faces
    splits: dict[str, Split]  # by protocol
    weights: str

    @property
    def name(self) -> str:
        """What the folder is named after."""
        if self.options.search is not None:
            return f"retrain-{self.options.search}"
        labels = {finalist.label.partition(":")[0] for finalist in self.finalists}
        return f"retrain-{labels.pop()}" if len(labels) == 1 else "retrain-configurations"

    @property
    def question(self) -> str:
        """What is trained, in a line for people."""
        first = self.finalists[0].config
        labels = [finalist.label for finalist in self.finalists]
        splits = " and ".join(self.options.splits)
        size, epochs = f"{first.image_size} px", f"epochs: {first.epochs}"
        return ", ".join([*labels, f"{splits} split", f"seeds: {self.options.seeds}", size, epochs])

    def jobs(self) -> list[Job]:
        """Return the models to train: of each finalist, best first, and for intervals."""
        options = self.options
        jobs = self._jobs(
            self.finalists, RETRAIN, options.splits, options.part, range(options.seeds)
        )
        # Several configurations of the user's are compared: none of them is the result.
        is_comparison = options.search is None and len(self.finalists) > 1
        if options.intervals and options.part == "test" and not is_comparison:
            headline, protocol = self.finalists[:1], options.splits[:1]
            jobs += self._jobs(headline, INTERVAL, protocol, "validation", range(1))
        return jobs

    def _jobs(
        self,
        finalists: list[Finalist],
        purpose: str,
        protocols: list[str],
        part: str,
        seeds: range,
    ) -> list[Job]:
        return [
            Job(
                purpose=purpose,
                label=finalist.label,
                protocol=protocol,
                part=part,
                seed=seed,
                config=finalist.config.replace(seed=seed).to_dict(),
            )
            for finalist in finalists
            for protocol in protocols
            for seed in seeds
        ]
