"""A live and a backup Artemis: nothing is lost when the live one is killed and returns."""

import os
import random

import pytest

from tests.brokers.artemis_pair import ArtemisPair
from tests.brokers.cluster_ordeal import PROCESS_KINDS, ClusterOrdeal
from tests.brokers.conftest import missing
from tests.brokers.server import BrokerMissing
from tests.brokers.servers import chosen

ROUNDS = int(os.environ.get("FLOWTOOLS_ROUNDS") or 1)
TOTAL = 3000
RATE = 100


@pytest.fixture
def pair(tmp_path):
    if "artemis" not in chosen():
        pytest.skip("BROKERS does not name artemis")
    try:
        pair = ArtemisPair(tmp_path / "pair")
    except BrokerMissing as error:
        missing(error)
    try:
        yield pair.start()
    finally:
        pair.close()


@pytest.mark.timeout(300 + 300 * ROUNDS)
def test_the_backup_takes_over_and_every_event_is_processed(pair, queue, tmp_path, show):
    seed = int(os.environ.get("FLOWTOOLS_SEED") or random.SystemRandom().randrange(10**6))
    kinds = ["leader killed", "leader killed", *PROCESS_KINDS] * ROUNDS
    random.Random(seed).shuffle(kinds)
    with ClusterOrdeal(pair, queue, tmp_path, least=TOTAL, rate=RATE) as ordeal:
        ordeal.until_flowing("events flow to every listener")
        for kind in kinds:
            ordeal.inflict(kind)
        ordeal.finish()
        show(f"FLOWTOOLS_SEED={seed}\n{ordeal.report()}")
        assert ordeal.missing == []
        assert ordeal.duplicates <= ordeal.most_duplicates
        assert pair.depth(f"{queue}.failed") == 0
        ends = [each.end("flow-listen-stomp") for each in ordeal.listeners]
        assert ends == [128 + 15] * len(ends)
