"""Conflicting changes: what is retried, how often, and with what pauses."""

import pytest

from flowtools.vizone import Account, Backoff, Client, ConflictError, retry_on_conflict
from tests.vizone_servers import client_of, stand_in

ADD = """
from flowtools.vizone import Client, retry_on_conflict


class Add:
    NEEDS = "client"
    client: Client

    def start(self, event):
        url = event.data["url"]
        if event.data["how"] == "set":
            asset = self.client.assets.get(event.data["self"])
            self.client.assets.set_metadata(asset, {event.data["field"]: event.data["word"]})
        else:
            self.append(url, event.data["word"])

    @retry_on_conflict
    def append(self, url, word):
        metadata = self.client.metadata(url)
        metadata["asset.keywords"] = f"{metadata['asset.keywords'] or ''} {word}".strip()
        self.client.put_metadata(metadata)
"""


def colliding(succeeds_at):
    """A function that raises a conflict for its first calls, and the list of its calls."""
    calls = []

    def change():
        calls.append(len(calls) + 1)
        if len(calls) < succeeds_at:
            raise ConflictError("somebody was faster")
        return "done"

    return change, calls


@pytest.fixture
def pauses(monkeypatch):
    """The upper limits of the pauses; the test does not wait."""
    longest = []
    monkeypatch.setattr(
        "flowtools.vizone.conflict.random.uniform",
        lambda low, high: longest.append(high) or low,
    )
    return longest


def test_a_conflicting_function_is_called_again_with_growing_pauses(pauses):
    change, calls = colliding(4)
    assert retry_on_conflict(change)() == "done"
    assert len(calls) == 4
    assert pauses == pytest.approx([0.05, 0.1, 0.2])


def test_pauses_stop_growing_to_keep_newcomers_from_overtaking(pauses):
    change, _ = colliding(20)
    assert retry_on_conflict(change)() == "done"
    assert pauses[4:] == pytest.approx([0.8] * 15)


def test_a_slow_attempt_makes_the_pauses_longer(pauses):
    Backoff().wait(2, took=3.0)
    assert pauses == [6.0]


def test_the_last_conflict_is_raised(pauses):
    change, calls = colliding(99)
    with pytest.raises(ConflictError):
        retry_on_conflict(change)()
    assert len(calls) == 20


def test_the_decorator_accepts_tries_and_pause(pauses):
    change, calls = colliding(99)
    with pytest.raises(ConflictError):
        retry_on_conflict(tries=3, pause=2.0)(change)()
    assert len(calls) == 3
    assert pauses == [2.0, 4.0]


@pytest.mark.parametrize("wrong", [{"tries": 0}, {"pause": -1.0}, {"pause": float("nan")}])
def test_a_meaningless_backoff_is_refused(wrong):
    with pytest.raises(ValueError, match=r"invalid Backoff\("):
        Backoff(**wrong)


def test_other_errors_are_raised_immediately(pauses):
    def change():
        raise ValueError("not a conflict")

    with pytest.raises(ValueError, match="not a conflict"):
        retry_on_conflict(change)()
    assert pauses == []


def test_set_metadata_uses_the_backoff_of_the_client(pauses):
    with stand_in() as server:
        account = Account(server.url, "admin", server.password)
        with Client(account, backoff=Backoff(tries=2)) as client:
            asset = client.assets.create("one")
            client.put_metadata = lambda payload: colliding(99)[0]()
            with pytest.raises(ConflictError):
                client.assets.set_metadata(asset, {"asset.title": "x"})
            assert len(pauses) == 1


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_64_writers_of_one_asset_all_succeed(shell, tmp_path, isolation):
    (tmp_path / "add.py").write_text(ADD)
    with stand_in() as server, client_of(server) as client:
        asset = client.assets.create("shared")
        url, where = asset.follow("describedby"), asset.follow("self")
        lines = [
            f'{{"url":"{url}","self":"{where}","how":"{how}","word":"w{n}","field":"asset.title"}}'
            for n in range(32)
            for how in ("append", "set")
        ]
        (tmp_path / "lines").write_text("\n".join(lines) + "\n")
        status, _, said = shell(
            f"VIZONE_URL={server.url} VIZONE_USER=admin VIZONE_PASSWORD={server.password}"
            f" flow-work add:Add -j 8 --isolation {isolation} --retries 0 <lines",
            cwd=tmp_path,
        )
        assert (status, said) == (0, "")
        assert sorted(client.metadata(url)["asset.keywords"].split()) == sorted(
            f"w{n}" for n in range(32)
        )
