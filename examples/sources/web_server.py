"""A small web server that makes an event of each request.

    flow-source --ack worker examples.sources.web_server:WebServer --set web.port=8080 |
        flow-work mymod:Job -j 8
    curl -d '{"job": 1}' http://127.0.0.1:8080/

With --ack worker the answer is the outcome of the event: 200 if it is done, 500 if it failed, 202
if that is not known in time. With --ack pipe, 200 only means that the event is in the pipe.
"""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, Queue

from flowtools.event import Event

MOST = 1 << 20
"""Maximum size of the body of a request, in bytes."""


class WebServer:
    """Accepts JSON by POST; each request becomes an event whose subject is its path."""

    def configure(self, config):
        port = config.getint("web", "port", fallback=8080)
        self.seconds = config.getfloat("web", "seconds", fallback=60.0)
        self.outcomes = {}
        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.server.app = self

    def run(self, emit):
        self.emit = emit
        print(f"listening on port {self.server.server_port}", flush=True)
        self.server.serve_forever(0.1)

    def stop(self):
        self.server.shutdown()

    def work(self, path, data):
        """Emit an event and wait for its outcome: True if done, False if failed, None: unknown."""
        event = Event("web.request", data, source="web-server", subject=path)
        # Before `emit`: the event may be done before `emit` returns.
        outcome = self.outcomes[event.id] = Queue(1)
        try:
            self.emit(event)
            return outcome.get(timeout=self.seconds)
        except Empty:
            return None
        finally:
            del self.outcomes[event.id]

    def done(self, event, ok):
        outcome = self.outcomes.get(event.id)
        if outcome is not None:
            outcome.put(ok)

    def clean_up(self):
        self.server.server_close()


class Handler(BaseHTTPRequestHandler):
    """Answers one request, in a thread of its own."""

    timeout = 20

    def do_POST(self):
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > MOST:
            return self.answer(413 if length.isdigit() else 411)
        try:
            data = json.loads(self.rfile.read(int(length)))
            ok = self.server.app.work(self.path, data)
        except (ValueError, RecursionError):  # Not JSON, or NaN, which no event can hold.
            return self.answer(400)
        return self.answer({True: 200, False: 500, None: 202}[ok])

    def answer(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        """Log nothing about requests: errors are reported by the Worker."""
