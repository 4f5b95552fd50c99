"""Index assets in a search engine with its bulk API, many in one request.

    flow-listen-assets --ack worker |
        flow-work examples.index_assets:IndexAssets --batch 500 --linger 2 --key subject \
            --retries 5 --set index.url=http://search.example:9200 --failed failed.jsonl

With --key, the changes of one asset reach the index in their order, even if one is retried.

The bulk API is that of Elasticsearch and OpenSearch. The request has one or two lines for each
event, and the answer has one item for each event, in the same order and with its own status.
"""

import json

import httpx

from flowtools.source.asset import AssetEntryListener
from flowtools.worker import Reject, Retry

BUSY = {429, 503}


class IndexAssets:
    """Keeps one document for each asset; the id of the document is that of the asset."""

    SOURCE = AssetEntryListener

    def configure(self, config):
        self.index = config.get("index", "name", fallback="assets")
        url = config.get("index", "url", fallback="http://localhost:9200")
        # Less than --timeout, so that a server that hangs gives an error that names it.
        self.client = httpx.Client(base_url=url, timeout=30.0)

    def start_many(self, events):
        body = "".join(f"{json.dumps(line)}\n" for event in events for line in self.lines(event))
        reply = self.client.post(
            "/_bulk", content=body, headers={"Content-Type": "application/x-ndjson"}
        )
        if reply.status_code in BUSY:
            # Raised, and not reported for single events: all events of the batch are tried again.
            raise Retry("the index is busy", after=reply.headers.get("Retry-After", "0"))
        reply.raise_for_status()
        for event, item in zip(events, reply.json()["items"], strict=True):
            ((kind, result),) = item.items()
            status = result["status"]
            if status in BUSY:
                events.fail(event, Retry("the index is busy"))
            # A document that is to be deleted may be gone, because an event can come twice.
            elif status >= 400 and not (kind == "delete" and status == 404):
                events.fail(event, Reject(f"the index refuses it: {result['error']['reason']}"))

    def lines(self, event):
        """Return the lines of the request for one event: the action and, if needed, a document."""
        where = {"_index": self.index, "_id": event.subject}
        if event.type == "flow.asset.deleted":
            return [{"delete": where}]
        return [{"index": where}, {"title": event.get("title"), "updated": event.get("updated")}]

    def clean_up(self):
        self.client.close()
