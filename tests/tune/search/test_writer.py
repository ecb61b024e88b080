"""Tables on the disk: fresh while that is cheap, not all the time when it is not."""

from types import SimpleNamespace

import pytest

from tune.search.writer import RecordWriter


@pytest.fixture
def make_writer(monkeypatch, search_record):
    """Return a writer whose tables take so many seconds, its clock, and when it wrote."""

    def make(tables_s):
        clock, written = [100.0], []
        monkeypatch.setattr("tune.search.writer.time.monotonic", lambda: clock[0])

        def write_tables(records, objectives):
            written.append(clock[0])
            clock[0] += tables_s

        folder = SimpleNamespace(write_record=lambda record: None, write_tables=write_tables)
        study = SimpleNamespace(records=list, objectives=("score",))
        return RecordWriter(folder, search_record(), study), clock, written

    return make


def test_every_end_is_written_while_that_is_quick(make_writer):
    writer, clock, written = make_writer(0.01)
    for second in range(5):
        clock[0] = 100.0 + second
        writer.trial_ended(None)
    assert written == [100, 101, 102, 103, 104]


def test_rewriting_takes_a_twentieth_of_the_time_at_most(make_writer):
    writer, clock, written = make_writer(0.5)
    for tenth in range(1000):
        clock[0] = max(clock[0], 100 + tenth / 10)
        writer.trial_ended(None)
    assert len(written) * 0.5 <= 0.05 * 100 + 0.5
    assert len(written) >= 9
