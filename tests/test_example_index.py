"""examples/index_assets.py, against an HTTP server with the bulk API of the search engines."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from subprocess import PIPE

import orjson
import pytest

from flowtools.event import Event
from tests.conftest import ROOT
from tests.running import finish


class Index(ThreadingHTTPServer):
    """Keeps documents, and the size of each request; `refuse(id)` gives an item's status."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Bulk)
        self.documents, self.sizes = {}, []
        self.busy, self.lock = 0, threading.Lock()
        self.statuses = {}

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Bulk(BaseHTTPRequestHandler):
    def do_POST(self):
        assert self.path == "/_bulk"
        assert self.headers["Content-Type"] == "application/x-ndjson"
        text = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            if self.server.busy:
                self.server.busy -= 1
                self.answer(429, {}, ("Retry-After", "0.01"))
                return
            items = list(self.items(iter(text.decode().splitlines())))
            self.server.sizes.append(len(items))
        self.answer(200, {"errors": False, "items": items})

    def items(self, lines):
        for line in lines:
            ((kind, where),) = json.loads(line).items()
            document = None if kind == "delete" else json.loads(next(lines))
            name = where["_id"]
            statuses = self.server.statuses.get(name, [])
            if statuses:
                status = statuses.pop(0)
                yield {kind: {"_id": name, "status": status, "error": {"reason": f"no {name}"}}}
            elif kind == "delete":
                was = self.server.documents.pop(name, None)
                yield {kind: {"_id": name, "status": 404 if was is None else 200}}
            else:
                self.server.documents[name] = document
                yield {kind: {"_id": name, "status": 201}}

    def answer(self, status, value, *headers):
        body = json.dumps(value).encode()
        self.send_response(status)
        for name, text in (*headers, ("Content-Length", str(len(body)))):
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def index():
    with Index() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def assets(*names, kind="created"):
    return b"".join(
        Event(f"flow.asset.{kind}", {"title": f"title {n}"}, source="s", id=f"{n}-{kind}",
              subject=n).encode()
        for n in names
    )  # fmt: skip


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_many_assets_are_indexed_in_one_request(start, index, tmp_path, isolation):
    index.busy = 1
    index.statuses = {"a3": [429], "a7": [400], "gone": [404]}
    process = start(
        "flow-work", "examples.index_assets:IndexAssets", "--isolation", isolation,
        "--batch", 10, "--key", "subject", "--retries", 2, "--backoff", 0.01, "--failed", "failed",
        "--set", f"index.url={index.url}", stdin=PIPE, env={"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    names = [f"a{n}" for n in range(20)]
    given = assets(*names) + assets("a5", "gone", kind="deleted")
    status, out, err = finish(process, given)
    assert (status, out) == (1, [])
    assert set(index.documents) == {*names} - {"a5", "a7"}
    assert index.documents["a3"]["title"] == "title a3"
    assert max(index.sizes) == 10
    assert len(index.sizes) <= 6  # Three at first; others for retries.
    (failed,) = [orjson.loads(line) for line in (tmp_path / "failed").read_bytes().splitlines()]
    assert (failed["subject"], failed["flowerror"]) == ("a7", "Reject: the index refuses it: no a7")
    assert "1 of 22 events failed" in err


def test_events_are_kept_if_the_index_is_unreachable(start, tmp_path):
    process = start(
        "flow-work", "examples.index_assets:IndexAssets", "--failed", "failed",
        "--set", "index.url=http://127.0.0.1:1", stdin=PIPE, env={"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert finish(process, assets("a", "b"))[0] == 1
    kept = [orjson.loads(line) for line in (tmp_path / "failed").read_bytes().splitlines()]
    assert [each["subject"] for each in kept] == ["a", "b"]
    assert all("ConnectError" in each["flowerror"] for each in kept)
