"""Index assets into a search engine by its bulk API, many in one request.

    flow-listen-assets --ack worker |
        flow-work examples.index_assets:IndexAssets --batch 500 --linger 2 --key subject \
            --retries 5 --set index.url=http://search.example:9200 --failed failed.jsonl

With --key, what happened to one asset reaches the index in its order, a retry included.

The bulk API is that of Elasticsearch and OpenSearch: pairs of lines go in, and an item for each
pair comes back, in their order, with a status of its own.
"""

import json

import httpx

from flowtools.source.asset import AssetEntryListener
from flowtools.worker import Reject, Retry

BUSY = {429, 503}


class IndexAssets:
    """Keeps one document for each asset, under the asset's id."""

    SOURCE = AssetEntryListener

    def configure(self, config):
        self.index = config.get("index", "name", fallback="assets")
        url = config.get("index", "url", fallback="http://localhost:9200")
        # Below --timeout, so that a server that hangs is told apart from a Worker that does.
        self.client = httpx.Client(base_url=url, timeout=30.0)

    def start_many(self, events):
        body = "".join(f"{json.dumps(line)}\n" for event in events for line in self.lines(event))
        reply = self.client.post(
            "/_bulk", content=body, headers={"Content-Type": "application/x-ndjson"}
        )
        if reply.status_code in BUSY:
            # The whole request: nothing is wrong with any event, and all come again together.
            raise Retry("the index is busy", after=reply.headers.get("Retry-After", "0"))
        reply.raise_for_status()
        for event, item in zip(events, reply.json()["items"], strict=True):
            ((kind, result),) = item.items()
            status = result["status"]
            if status in BUSY:
                events.fail(event, Retry("the index is busy"))
            elif status >= 400 and not (kind == "delete" and status == 404):
                events.fail(event, Reject(f"the index refuses it: {result['error']['reason']}"))

    def lines(self, event):
        """Return what the index is to do, and with what; an event may come twice."""
        where = {"_index": self.index, "_id": event.subject}
        if event.type == "flow.asset.deleted":
            return [{"delete": where}]
        return [{"index": where}, {"title": event.get("title"), "updated": event.get("updated")}]

    def clean_up(self):
        self.client.close()
