"""Faults on demand, and a client that lives with them."""

import threading

import pytest

from flowtools.errors import UnreachableError
from flowtools.sim.faults import Faults, Rates
from flowtools.vizone import ConflictError
from tests.vizone_servers import client_of, stand_in


@pytest.mark.parametrize(
    ("text", "rates"),
    [
        ("5xx=0.05,slow=0.1,drop=0.01,conflict=1", Rates(0.05, 0.1, 0.01, 1)),
        ("drop=0", Rates()),
    ],
)
def test_rates_are_read(text, rates):
    assert Rates.parse(text) == rates


@pytest.mark.parametrize(
    "text", ["", "5xx", "5xx=x", "drop=1.1", "drop=-1", "a=1", "slow=1,slow=1"]
)
def test_rates_of_another_form_are_a_usage_error(run, text):
    status, out, err = run("flow-sim", "--faults", text, "--", "true")
    assert (status, out) == (2, b"")
    assert "expected" in err


def test_the_same_seed_makes_the_same_faults():
    def throws(seed):
        faults = Faults(Rates(0.3, 0.3, 0.3, 0.3), seed)
        return [
            (faults.status(conditional=True), faults.pause(), faults.drops()) for _ in range(200)
        ]

    assert throws(1) == throws(1)
    assert throws(1) != throws(2)
    assert {500, 502, 503, 504, 409, 412, 428, None} == {each[0] for each in throws(1)}


def test_each_fault_happens_when_it_is_certain_to():
    for rates, error in (
        (Rates(failing=1), UnreachableError),
        (Rates(drop=1), UnreachableError),
    ):
        with (
            stand_in(faults=rates) as server,
            client_of(server) as client,
            pytest.raises(error),
        ):
            client.collections()
    with stand_in(faults=Rates(conflict=1)) as server, client_of(server) as client:
        asset = client.assets.create("one")
        with pytest.raises(ConflictError):
            client.assets.update(asset)
        assert server.catalogue.assets()[0].revision == 1


def test_a_cut_connection_may_have_done_what_was_asked_and_the_client_copes():
    with stand_in(faults=Rates(drop=0.3), seed=3) as server, client_of(server) as client:
        made = 0
        while made < 30:
            try:
                client.assets.create_or_update_asset(f"SITE-{made}", f"asset {made}")
            except UnreachableError:
                continue  # As a Worker's retry: it finds what it has made.
            made += 1
        names = [asset.identifier for asset in server.catalogue.assets()]
        assert names == [f"SITE-{number}" for number in range(30)]


def test_no_change_is_lost_between_threads_however_much_goes_wrong():
    rates = Rates(failing=0.1, drop=0.05, conflict=0.2)
    with stand_in(faults=rates) as server, client_of(server) as client:
        number = server.catalogue.create("shared").number
        url = f"{server.url}/api/asset/item/{number}/metadata"

        def add(word):
            while True:
                try:
                    metadata = client.metadata(url)
                    words = (metadata["asset.keywords"] or "").split()
                    if word in words:
                        return
                    metadata["asset.keywords"] = " ".join([*words, word])
                    client.put_metadata(metadata)
                except (ConflictError, UnreachableError):
                    continue

        threads = [threading.Thread(target=add, args=(f"w{n}",), daemon=True) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(90)
        words = client_words(server, number)
        assert sorted(words) == sorted(f"w{n}" for n in range(8))


def client_words(server, number):
    from flowtools.vizone.document import parse
    from flowtools.vizone.metadata import Payload

    stored = server.catalogue.asset(number).payload
    return Payload(parse(stored, name="it"))["asset.keywords"].split()


def test_a_listener_that_is_cut_off_comes_back(shell):
    # A topic keeps nothing for who is away, so the stream outlasts many absences.
    status, out, err = shell(
        "flow-sim --assets 4000 --rate 100 --faults drop=0.02 -- flow-listen-assets --count 40",
        timeout=100,
    )
    assert (status, len(out.splitlines())) == (0, 40), err
