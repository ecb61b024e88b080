import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.samplers import TPESampler
from optuna.trial import TrialState, create_trial

from tune.study.samplers import InformedSampler

optuna.logging.set_verbosity(optuna.logging.ERROR)
RANGE = {"x": FloatDistribution(0, 10)}
#: Twenty trials of an earlier search, in which the lowest values lay around 7.
KNOWN = [create_trial(params={"x": i / 2}, distributions=RANGE, value=(i / 2 - 7) ** 2)
         for i in range(20)]  # fmt: skip


def tpe(seed):
    return TPESampler(
        seed=seed, n_startup_trials=5, multivariate=True, group=True, constant_liar=True
    )


def suggest(study, sampler, known=KNOWN):
    study.sampler = InformedSampler(sampler, known)
    trial = study.ask()
    return trial, trial.suggest_float("x", 0, 10)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_the_first_suggestions_lie_where_earlier_searches_were_good():
    study = optuna.create_study()
    found = [suggest(study, tpe(seed))[1] for seed in range(5)]
    assert sum(5 < x < 9 for x in found) >= 4
    assert len(study.trials) == 5  # none but its own
    with pytest.raises(ValueError, match="No trials are completed"):
        _ = study.best_trial


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_own_trials_are_learned_from_beside_the_known_ones():
    """What the study finds at 2 outweighs what was known of 7."""
    study = optuna.create_study()
    for seed in range(20):
        trial, x = suggest(study, tpe(seed))
        study.tell(trial, -1000 + (x - 2) ** 2)
    found = [suggest(study, tpe(seed))[1] for seed in range(20, 25)]
    assert sum(x < 5 for x in found) >= 4


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_suggestion_depends_on_the_seed_and_the_study_alone():
    def search():
        study = optuna.create_study()
        study.enqueue_trial({"x": 1.0})
        values = []
        for seed in range(6):
            trial, x = suggest(study, tpe(seed))
            values.append(x)
            if seed == 3:
                study.tell(trial, state=TrialState.FAIL)
            elif seed != 4:  # still running
                study.tell(trial, x)
        return values

    first = search()
    assert first == search()
    assert first[0] == 1.0
    assert len(set(first)) == 6


def test_a_second_study_in_the_storage_is_no_harm():
    """Its trials take identities, so that a trial's own is no longer its number."""
    storage = optuna.storages.InMemoryStorage()
    other = optuna.create_study(storage=storage, study_name="other")
    for _ in range(7):
        other.tell(other.ask(), 0.0)
    study = optuna.create_study(storage=storage, study_name="search")
    alone = optuna.create_study()
    for seed in range(4):
        (trial, x), (_, expected) = suggest(study, tpe(seed)), suggest(alone, tpe(seed))
        assert x == expected
        study.tell(trial, x)
        alone.tell(seed, x)
