"""A live and a backup Artemis: nothing is lost when the live one is killed and returns."""

import pytest

from tests.brokers.artemis_pair import ArtemisPair
from tests.brokers.cluster_ordeal import PROCESS_KINDS, ROUNDS, survive
from tests.brokers.conftest import served

TOTAL = 3000


@pytest.fixture
def pair(tmp_path):
    yield from served("artemis", lambda: ArtemisPair(tmp_path / "pair"))


@pytest.mark.timeout(300 + 300 * ROUNDS)
def test_the_backup_takes_over_and_every_event_is_processed(pair, queue, tmp_path, show):
    kinds = ["leader killed", "leader killed", *PROCESS_KINDS]
    survive(pair, queue, tmp_path, kinds, least=TOTAL, show=show)
