"""The brokers that the tests run, by name.

`BROKERS` in the environment chooses among them (`make test-brokers BROKERS=rabbitmq`): names,
or families of them, separated by spaces or commas; by default all are run.
"""

import os

from tests.brokers.activemq import ActiveMQ, ActiveMQ6, Artemis
from tests.brokers.rabbitmq import RabbitMQ, RabbitMQ4, RabbitMQQuorum

ALL = {
    each.name: each for each in (RabbitMQ, RabbitMQ4, RabbitMQQuorum, ActiveMQ, ActiveMQ6, Artemis)
}
"""Each broker's class by its name."""


OTHERS = ("rabbitmq4-cluster",)
"""More names for BROKERS: those that have tests of their own (test_cluster.py)."""


def chosen(*, everything=False):
    """The names of the brokers chosen for this run; `everything`: OTHERS, too."""
    wanted = os.environ.get("BROKERS", "").replace(",", " ").split()
    unknown = set(wanted) - set(ALL) - set(OTHERS)
    if unknown:
        raise ValueError(f"BROKERS names {sorted(unknown)}; there are {[*ALL, *OTHERS]}")
    names = [*ALL, *OTHERS] if everything else ALL
    return [name for name in names if name in wanted or not wanted]
