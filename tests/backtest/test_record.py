"""What the lab records is what Prometheus imports and what `--known` reads."""

import gzip
from pathlib import Path

from backstop.cli.backtest_input import known_faults
from backstop_lab.record import Fault, Recording, write


def test_recording_is_written_with_times_and_faults(tmp_path: Path):
    """Each sample is a line with its time, labels are escaped, and faults keep milliseconds."""
    metric = {"__name__": "hits_total", "pod": 'a"b', "app": "x"}
    series = [{"metric": metric, "values": [[1700000000.25, "1"], [1700000001.25, "2"]]}]
    fault = Fault("disk", 1700000000.5, 1700000010.125)
    write(Recording(series, [fault]), tmp_path)
    text = gzip.decompress((tmp_path / "samples.om.gz").read_bytes()).decode()
    assert text.splitlines() == [
        'hits_total{app="x",pod="a\\"b"} 1 1700000000.250',
        'hits_total{app="x",pod="a\\"b"} 2 1700000001.250',
        "# EOF",
    ]
    (known,) = known_faults(tmp_path / "faults.yaml")
    assert (known.name, known.begin, known.end) == ("disk", 1700000000.5, 1700000010.125)
