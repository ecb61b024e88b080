import optuna
import pytest

from tune.asha import ARRIVAL, AshaPruner, epoch_key, rungs


def report(trial, epoch, score, arrival):
    trial.set_user_attr(epoch_key(epoch), {ARRIVAL: arrival})
    trial.report(score, epoch)


@pytest.fixture
def study():
    pruner = AshaPruner(max_epochs=9, grace_epochs=1, reduction_factor=3)
    return optuna.create_study(pruner=pruner)


def test_rungs_stay_below_the_full_budget():
    assert rungs(30, 1, 3) == [1, 3, 9, 27]
    assert rungs(9, 1, 3) == [1, 3]
    assert rungs(8, 2, 2) == [2, 4]
    assert rungs(1, 1, 3) == []


def test_first_arrival_passes_and_later_ones_must_be_in_the_best_third(study):
    passed = []
    for arrival, score in enumerate([5.0, 6.0, 4.0, 4.5, 3.0, 3.5]):
        trial = study.ask()
        report(trial, 1, score, arrival)
        passed.append(not trial.should_prune())
    # 5 is first; 6 is worse; 4 is the best so far; 4.5 and 3 compete for one place in three;
    # with six on record two pass, and 3.5 is the second best.
    assert passed == [True, False, True, False, True, True]


def test_nothing_is_judged_between_rungs_or_at_the_end(study):
    best, worst = study.ask(), study.ask()
    for epoch in (2, 9):
        report(best, epoch, 1.0, 2 * epoch)
        report(worst, epoch, 100.0, 2 * epoch + 1)
        assert not worst.should_prune()


def test_a_decision_is_the_same_whenever_it_is_made(study):
    passing = study.ask()
    report(passing, 1, 5.0, 0)
    assert not passing.should_prune()
    for arrival in range(1, 6):  # better trials that came later
        report(study.ask(), 1, 1.0, arrival)
    assert not passing.should_prune()


def test_failed_trials_do_not_compete(study):
    failed = study.ask()
    report(failed, 1, 0.1, 0)
    study.tell(failed, state=optuna.trial.TrialState.FAIL)
    trial = study.ask()
    report(trial, 1, 5.0, 1)
    assert not trial.should_prune()
