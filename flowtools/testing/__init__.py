"""Tests of Workers, Sources and transfer plugins, without processes, a broker or a Viz One.

    from flowtools.testing import make_event, run_worker

    def test_a_clip_gets_its_tag():
        ran = run_worker(Tag(), make_event("flow.asset.created", {"title": "News"}))
        assert ran.data == [{"tag": "news"}]

`make_event` makes an event of each type, by `examples` that the published schemas hold.
`run_worker` runs a Worker in the pool of flow-work itself (`pool`): attempts, retries, time-outs,
results. `viz_one` is a stand-in for the server (`standin`), with documents for transfer plugins.
`run_source` and `check_source` are for Sources (`sources`). `fixtures` are for pytest:
`pytest_plugins = ["flowtools.testing.fixtures"]`.
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
