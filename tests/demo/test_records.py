"""What users saw is counted exactly, whatever the server did."""

from __future__ import annotations

from pathlib import Path

import pytest

from backstop_lab.demo.records import (
    DROPPED,
    NO_ANSWER,
    Record,
    RecordReader,
    Tally,
    first_failure,
    ratio_over_time,
    tally,
)


def records(*pairs: tuple[float, int]) -> list[Record]:
    return [Record(start, status, 0.01) for start, status in pairs]


@pytest.mark.parametrize(
    ("status", "failed"),
    [(200, False), (404, False), (499, False), (500, True), (NO_ANSWER, True), (DROPPED, True)],
)
def test_a_user_is_failed_by_server_errors_silence_and_drops(status: int, *, failed: bool) -> None:
    """A 5xx, no answer in time and a request that could not be sent count as failed; a 4xx not."""
    assert Record(0.0, status, 0.1).failed is failed


def test_a_record_survives_the_file() -> None:
    """What is written to the file is what is read from it."""
    record = Record(1_795_421_337.25, 503, 0.0125, "v2", "ranker-abc")
    assert Record.from_line(record.to_line()) == record


def test_a_line_that_is_no_record_is_refused() -> None:
    """A damaged file is an error, not a silently wrong count."""
    with pytest.raises(ValueError, match="not enough values"):
        Record.from_line("1.0,200\n")


def test_a_tally_includes_its_begin_and_excludes_its_end() -> None:
    """Adjoining periods count each request exactly once."""
    seen = records((1.0, 200), (2.0, 500), (3.0, 500), (4.0, 200))
    assert tally(seen, 1.0, 3.0) == Tally(2, 1)
    assert tally(seen, 3.0, 5.0) == Tally(2, 1)


def test_no_requests_are_no_failures() -> None:
    """The ratio of an empty period is 0, not an error."""
    assert tally([], 0.0, 1.0).ratio == 0.0


def test_the_first_failure_is_the_earliest_since_and_not_the_first_written() -> None:
    """Records are in order of their answers; onset is by when the request was due."""
    seen = records((0.5, 500), (3.0, 500), (2.0, 500), (1.0, 200))
    assert first_failure(seen, 1.0) == 2.0
    assert first_failure(seen, 3.5) is None


def test_ratios_over_time_are_per_bin_and_leave_out_empty_bins() -> None:
    """A gap in the traffic is a gap in the chart, and not a ratio of 0."""
    seen = records((10.1, 200), (10.4, 500), (12.2, 200), (9.9, 500), (13.0, 500))
    assert ratio_over_time(seen, 10.0, 13.0, 1.0) == [(0.5, 0.5), (2.5, 0.0)]


def test_a_reader_follows_a_growing_file_and_waits_for_the_end_of_a_line(tmp_path: Path) -> None:
    """A half-written line is neither lost nor misread."""
    path = tmp_path / "requests.csv"
    reader = RecordReader(path)
    assert list(reader.read()) == []
    first, second = Record(1.0, 200, 0.1, "v1", "a"), Record(2.0, 500, 0.1, "v2", "b")
    half = len(second.to_line()) // 2
    path.write_text(first.to_line() + second.to_line()[:half])
    assert list(reader.read()) == [first]
    with path.open("a") as file:
        file.write(second.to_line()[half:])
    assert list(reader.read()) == [first, second]


def test_recent_requests_are_found_although_answers_overtake_each_other(tmp_path: Path) -> None:
    """A slow answer that was written after a younger one still counts in its own time."""
    path = tmp_path / "requests.csv"
    seen = records((100.0, 200), (109.5, 500), (108.0, 500), (109.0, 200))
    path.write_text("".join(record.to_line() for record in seen))
    assert RecordReader(path).recent(2.0, 110.0) == Tally(3, 2)
