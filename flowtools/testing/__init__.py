"""The kit for testing Workers, Sources and transfer plugins in one process, without a Viz One.

    from flowtools.testing import make_event, run_worker

    def test_a_clip_gets_its_tag():
        ran = run_worker(Tag(), make_event("flow.asset.created", {"title": "News"}))
        assert ran.data == [{"tag": "news"}]

`make_event` makes an event of any type, with data that follows the published schemas (`examples`).
`run_worker` runs a Worker in the real pool of flow-work, and returns its attempts, results and
errors (`pool`). `run_source` and `check_source` run a Source as flow-source does (`sources`).
`viz_one` starts a stand-in Viz One, which also makes documents for transfer plugins (`standin`).
`fixtures` has fixtures for pytest.
"""

from flowtools.testing.examples import make_event
from flowtools.testing.pool import Ran, run_worker
from flowtools.testing.sources import check_source, run_source
from flowtools.testing.standin import VizOne, viz_one

__all__ = [
    "Ran",
    "VizOne",
    "check_source",
    "make_event",
    "run_source",
    "run_worker",
    "viz_one",
]
