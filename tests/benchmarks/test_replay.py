"""Replayed searches give what a person works out with pencil and paper."""

import json

import curves as curves_module
import numpy as np
import objective_noise
import optuna
import pandas as pd
import pytest
import search_efficiency
from curves import by_epoch, make_table, rank_correlations, seed_noise, spearman_interval
from replay.policies import Asking, Extrapolation, Pasha, Percentile, Promotion, Rounds, Stopping
from replay.simulator import Curve, History, Policy, simulate
from replay.sources import StockRay, Study, Table
from replay.surrogate import Measured

from tune.execution.checkpoints import CheckpointStore
from tune.options.search import SearchOptions
from tune.records.search import DataRecord, SearchRecord
from tune.records.trials import TrialRecord
from tune.study.past_runs import PastRun
from tune.study.stopping import Asha, make_rule
from utkface.config import TrainConfig
from utkface.io import UserError
from utkface.metrics import face_metrics
from utkface.model import Predictions


class Given:
    """A source of given curves, the last of them for ever."""

    def __init__(self, *curves: Curve) -> None:
        self.curves, self.heard = curves, []

    def ask(self, number):
        return self.curves[min(number, len(self.curves) - 1)]

    def report(self, number, epoch, value):
        self.heard.append((number, epoch, value))

    def finish(self, number, value):
        self.heard.append((number, value))


def steady(*values: float, seconds: float = 1.0) -> Curve:
    return Curve(values, (seconds,) * len(values), expected=values[-1])


def endings(history: History) -> list[tuple[float, int]]:
    return [(completion.time_s, completion.number) for completion in history.completions]


def test_one_worker_trains_one_trial_after_the_other():
    source = Given(steady(3, 1), steady(2, 2, seconds=2))
    history = simulate(source, Policy(), 1, until_s=6)
    assert endings(history) == [(2, 0), (6, 1)]
    told = [(0, 1, 3), (0, 2, 1), (0, 1), (1, 1, 2), (1, 2, 2), (1, 2)]
    assert source.heard == told


def test_a_free_worker_takes_the_next_trial_at_once():
    source = Given(steady(0, 0), steady(0, 0, seconds=2), steady(0, 0))
    # Trials 1 and 2 end at the same time: the epoch that began first is seen first.
    assert endings(simulate(source, Policy(), 2, until_s=5)) == [(2, 0), (4, 1), (4, 2)]


def test_what_ends_after_the_clock_is_not_seen():
    history = simulate(Given(steady(0, 0)), Policy(), 1, until_s=3.9)
    assert endings(history) == [(2, 0)]
    assert history.epochs == {0: 2, 1: 1}


def test_stopping_judges_with_what_had_arrived_by_then():
    # The second is worse at the rung than the first and stops; the third is better.
    source = Given(steady(2, 0), steady(3, 0), steady(1, 0))
    history = simulate(source, Stopping(Asha(2, 1, 2)), 1, until_s=5)
    assert endings(history) == [(2, 0), (5, 2)]
    assert (1, None) in source.heard


def test_promotion_goes_on_with_the_best_of_a_rung():
    # 1: trial 0 pauses, half of one is none. 2: trial 1 is the best of two, and ends at 3.
    # 4: trial 2 is the best of three, and ends at 5. Two checkpoints were kept at most.
    source = Given(steady(3, 0), steady(2, 0), steady(1, 0))
    history = simulate(source, Promotion([1], 2), 1, until_s=5)
    assert endings(history) == [(3, 1), (5, 2)]
    assert history.max_paused == 2


def test_promotion_keeps_no_more_checkpoints_than_allowed():
    # With one kept, the second takes the place of the first, which can go on no more.
    source = Given(steady(2, 0), steady(3, 0), steady(1, 0), steady(4, 0))
    history = simulate(source, Promotion([1], 2, max_paused=1), 1, until_s=8)
    assert history.max_paused == 1
    assert endings(history)[0] == (3, 0)


def test_rounds_wait_for_their_last_trial_and_finish_the_best():
    # Two workers, rounds of two: the quick one's worker waits from 1 to 3, then trial 1 goes on
    # (to 6), and the other worker begins the next round.
    source = Given(steady(2, 2), steady(1, 1, seconds=3), steady(0, 0, seconds=9))
    history = simulate(source, Rounds(2, 1), 2, until_s=6)
    assert endings(history) == [(6, 1)]
    assert history.epochs == {0: 1, 1: 2}
    assert history.max_paused == 2


def test_pasha_opens_a_rung_only_where_the_order_changes():
    alike = [steady(3, 3, 3, 3), steady(2, 2, 2, 2), steady(1, 1, 1, 1)]
    policy = Pasha([1, 2, 3], 2, num_trials=3)
    history = simulate(Given(*alike), policy, 1, until_s=20)
    assert policy.rungs == [1, 2]
    assert endings(history)[0][1] == 2  # at the end the best of the last rung runs on
    policy = Pasha([1, 2, 3], 2, num_trials=6)
    simulate(Given(steady(3, 3, 3, 3), steady(2, 2, 2, 2), steady(1, 9, 9, 9)), policy, 1, 20)
    assert policy.rungs == [1, 2, 3]


def test_percentile_lets_the_first_pass():
    rule = Percentile([1], 0.5, num_startup=2)
    assert not rule.stops({0: {1: 1.0}, 1: {1: 9.0}}, 1)
    earlier = {0: {1: 1.0}, 1: {1: 2.0}}
    assert rule.stops({**earlier, 2: {1: 1.6}}, 2)
    assert not rule.stops({**earlier, 2: {1: 1.4}}, 2)


def test_extrapolation_stops_what_will_hardly_be_the_best():
    ended = {n: {1: 2.0 + n, 2: 1.0 + n / 2} for n in range(6)}  # the end is half of the beginning
    rule = Extrapolation(make_rule("none", 9, 1, 3), [1], last=2, width=1.0)
    assert rule.stops({**ended, 6: {1: 5.0}}, 6)
    assert not rule.stops({**ended, 6: {1: 1.9}}, 6)


def measured(ends: list[float], num_points: int = 0) -> Measured:
    judged = np.array([[9.0, end] for end in ends])
    is_point = np.arange(len(ends)) < num_points
    return Measured([{}] * len(ends), is_point, judged, judged, np.ones_like(judged))


def test_the_table_repeats_nothing_before_all_were_drawn():
    table = Table(measured([1, 2, 3, 4], num_points=1), np.random.default_rng(0), points=False)
    drawn = [table.ask(number).score for number in range(6)]
    assert sorted(drawn[:3]) == sorted(drawn[3:]) == [2, 3, 4]
    first = Table(measured([1, 2, 3, 4], num_points=1), np.random.default_rng(0), points=True)
    assert first.ask(0).score == 1


def test_regret_is_behind_the_best_random_trial_and_falls_with_completions():
    history = simulate(Given(steady(9, 3), steady(9, 4), steady(9, 1)), Policy(), 1, until_s=6)
    replays = search_efficiency.Replays.of(
        [history], measured([0.5, 1, 3, 5], num_points=1), np.arange(7)
    )
    assert replays.regrets.tolist() == [[4, 4, 2, 2, 2, 2, 0]]


def test_twice_as_fast_is_a_ratio_of_a_half():
    falls_at = lambda moment: np.where(np.arange(101) >= moment, 0.0, 1.0)[None].repeat(30, 0)  # noqa: E731
    ratio = search_efficiency.time_ratio(falls_at(40), falls_at(80), end=80)
    assert ratio == (0.5, 0.5, 0.5)
    never = search_efficiency.time_ratio(np.ones((30, 101)), falls_at(80), end=80)
    assert never[0] == float("inf")


class Suggested:
    """In a surrogate's place: what is suggested is the value of every epoch."""

    def curve(self, trial, rng):
        value = trial.suggest_float("value", 0, 1)
        return steady(value, value, value)


def test_a_study_hears_of_pauses_and_of_ends():
    random = optuna.samplers.RandomSampler(0)
    source = Study(Suggested(), lambda _: random, np.random.default_rng(0))
    history = simulate(source, Promotion([1], 2), 1, until_s=12)
    states = [trial.state.name for trial in source.study.trials]
    assert states.count("PRUNED") == len(history.epochs)  # all paused at the rung
    assert source.study.best_value == min(c.curve.expected for c in history.completions)


def test_points_come_first_with_their_own_curves():
    random = optuna.samplers.RandomSampler(0)
    points = [({"value": 0.5}, steady(7, 7, 7))]
    source = Study(Suggested(), lambda _: random, np.random.default_rng(0), points)
    simulate(source, Policy(), 1, until_s=3)
    assert source.study.best_trial.params == {"value": 0.5}
    assert source.study.best_value == 7


def test_stock_ray_stops_what_is_worse_than_the_best_quarter():
    source = StockRay(Suggested(), seed=0, max_t=3, grace=1, factor=4)
    history = simulate(source, Asking(source.stops), 1, until_s=40)
    assert sum(epochs == 1 for epochs in history.epochs.values()) >= 3
    study = source.search._ot_study
    assert len(study.trials) == len(history.epochs)


def record(number: int, ends: list[float], seed: int = 0, state: str = "COMPLETE") -> TrialRecord:
    config = TrainConfig(epochs=2, seed=seed, dropout=0.1).to_dict()
    epochs = [
        {"epoch": e, "score": end, "smooth_score": end, "cpu_time_s": 1.0, "age_mae": end,
         "gender_error": end / 10, "worst_group_mae": end}
        for e, end in enumerate(ends, start=1)
    ]  # fmt: skip
    return TrialRecord(
        number=number, state=state, score=ends[-1] if ends else None, params={}, config=config,
        epochs=epochs, reason=None, started=None, ended=None,
    )  # fmt: skip


@pytest.fixture
def read(monkeypatch):
    """Make a run of some records be the one that is read."""

    def give(*records: TrialRecord, again: tuple[TrialRecord, ...] = ()) -> None:
        search = SearchRecord.model_construct(
            space="s", options=SearchOptions(space="s", max_epochs=2, num_trials=9),
            data=DataRecord.model_construct(num_train=5, num_val=5), points=[{"dropout": 0.1}],
        )  # fmt: skip
        run = PastRun("run", search, [*records])
        monkeypatch.setattr(curves_module, "read_run", lambda results, name: run)
        monkeypatch.setattr(curves_module, "trained_again", lambda name: [*again])

    return give


def test_the_table_has_what_is_finished(read):
    read(record(0, [2, 1]), record(1, [], state="FAIL"), record(2, [3], state="RUNNING"))
    table, abouts = make_table(["run"])
    assert table[["trial", "state", "epoch"]].to_numpy().tolist() == [
        [0, "COMPLETE", 1], [0, "COMPLETE", 2], [1, "FAIL", 0],
    ]  # fmt: skip
    assert table["is_point"].all()
    assert abouts[["trials", "of"]].to_numpy().tolist() == [[2, 9]]
    assert "1 complete trials" in curves_module.describe(table, abouts)


def test_a_run_that_stopped_trials_is_refused(read):
    read(record(0, [2], state="PRUNED"))
    with pytest.raises(UserError, match="stopped trials early"):
        make_table(["run"])


def test_the_noise_of_a_seed_is_pooled_over_configurations(read):
    read(record(0, [2, 1]), again=(record(0, [2, 3], seed=1),))
    table, abouts = make_table(["run"])
    assert seed_noise(table).loc["score", "noise of a seed"] == pytest.approx(2**0.5)
    # A curve that was trained again is no further trial of the search.
    assert by_epoch(table, "score").to_numpy().tolist() == [[2, 1]]
    assert abouts[["trials", "trained again"]].to_numpy().tolist() == [[1, 1]]
    read(record(0, [2, 1]))
    assert seed_noise(make_table(["run"])[0]) is None


def test_rank_correlations_know_order_and_disorder(read):
    read(*(record(n, [-n, n]) for n in range(6)))
    table = make_table(["run"])[0]
    cell = rank_correlations(table, "score", "score").loc["all (6)", "epoch 1"]
    assert cell.startswith("-1.00")
    ordered = np.arange(20.0)
    assert spearman_interval(ordered, ordered**3) == pytest.approx((1, 1, 1))


def test_terms_of_metrics_are_the_metrics():
    rng = np.random.default_rng(0)
    gender = rng.integers(2, size=400)
    probability = 1 / (1 + np.exp(-rng.normal(3 * gender - 1.5, 1.5)))
    above = probability[gender == 1][:, None] > probability[gender == 0]
    assert objective_noise.auc_terms(gender, probability).mean() == pytest.approx(1 - above.mean())
    age = rng.integers(0, 90, size=400)
    terms = objective_noise.metric_terms(
        age, gender, np.stack([age + 1.0, age + 2.0]), np.stack([probability, probability])
    )
    expected = face_metrics(age, gender, age + 2.0, probability)
    for name in ("score", "smooth_score"):
        assert terms[name][1].mean() == pytest.approx(expected[name])


def test_predictions_are_read_where_a_search_keeps_them(tmp_path):
    names = [f"{20 + i}_{i % 2}_0_2017010912000{i}000.jpg.chip.jpg" for i in range(3)]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "split.json").write_text(json.dumps({"val": names}))
    states = ["COMPLETE"] * 5 + ["PRUNED"]
    pd.DataFrame({"number": range(6), "state": states}).to_csv(tmp_path / "trials.csv")
    store = CheckpointStore.of_run(None, tmp_path, "run")
    for number in range(6):
        ages, genders = np.full(3, number, np.float32), np.full(3, 0.5, np.float32)
        store.save_predictions(number, Predictions(ages, genders))
    age, gender, age_years, probability = objective_noise.read_predictions(tmp_path)
    assert (age.tolist(), gender.tolist()) == ([20, 21, 22], [0, 1, 0])
    assert age_years[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert probability.shape == (5, 3)


def test_a_noisier_metric_has_the_larger_error():
    rng = np.random.default_rng(0)
    quality = np.linspace(1, 2, 8)[:, None]
    terms = {
        name: quality + rng.normal(0, noise, (8, 500))
        for name, noise in (("score", 1.0), ("quiet", 0.1))
    }
    table: pd.DataFrame = objective_noise.compare(terms)
    assert table.loc["score", "error"] == pytest.approx(1 / 500**0.5, rel=0.2)
    assert table.loc["score", "paired error"] == pytest.approx((2 / 500) ** 0.5, rel=0.2)
    assert table.loc["quiet", "error / SD"] < table.loc["score", "error / SD"] / 5


def test_ours_is_set_against_each_peer():
    def falls_at(moment: int) -> search_efficiency.Replays:
        regrets = np.ones((30, search_efficiency.GRID))
        regrets[:, moment:] = 0
        return search_efficiency.Replays(regrets, np.zeros(30), np.zeros(30), 1.0, 0)

    results = {search_efficiency.OURS: falls_at(30), "peer": falls_at(60), "other": falls_at(30)}
    table = search_efficiency.compare_peers(results, 24, [24], num_workers=1).splitlines()
    end = search_efficiency.moment(24, [24], 1)
    assert table[2] == "| peer | {0:.2f} ({0:.2f} to {0:.2f}) |".format(30 / end)
    assert search_efficiency.compare_peers({"peer": falls_at(60)}, 24, [24], 1) == ""


def test_the_committed_table_is_read_whatever_fields_came_after_it(tmp_path):
    table = curves_module.read_curves()
    assert not set(curves_module.CONFIG) - set(table.columns)
    older = tmp_path / "curves.parquet"
    table.drop(columns=["teacher_weight", "dropout"]).to_parquet(older)
    read = curves_module.read_curves(older)
    assert set(read["teacher_weight"]) == {0.0}
    assert set(read["dropout"]) == {TrainConfig().dropout}
    measured = Measured.of(table, "smooth_score")
    assert len(measured.configs) == len(measured.judged) > 100


def test_stock_ray_begins_with_the_points_that_it_is_given():
    class Suggested:
        def curve(self, trial, rng):
            x = trial.suggest_float("x", 0, 1)
            return steady(x, x)

    points = [({"x": 0.25}, steady(7, 7)), ({"x": 0.75}, steady(8, 8))]
    source = StockRay(Suggested(), seed=0, max_t=2, grace=1, factor=2, points=points)
    assert [source.ask(number).expected for number in range(2)] == [7, 8]
    assert 0 <= source.ask(2).expected <= 1
    trials = source.search._ot_study.get_trials()
    assert [trial.params["x"] for trial in trials[:2]] == [0.25, 0.75]
