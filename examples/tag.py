"""Tag every asset that comes to be or changes: a small but whole Worker.

flow-listen-assets | flow-work examples.tag:Tag -j 4
"""

from flowtools.source.asset import AssetEntryListener
from flowtools.vizone import Client, NotFoundError, retry_on_conflict

FIELD = "asset.keywords"
WORD = "flowtools"


class Tag:
    """Puts a word into a free-text field of each asset's metadata."""

    SOURCE = AssetEntryListener

    def configure(self, config):
        # One client serves all threads. VIZONE_URL and its like say where and as whom.
        self.client = Client.from_environment()

    def start(self, event):
        if event.type == "flow.asset.deleted":
            return
        try:
            self.tag(event["links"].get("describedby") or self.look_up(event["links"]["self"]))
        except NotFoundError:
            return  # It has been deleted since: there is nothing left to tag.

    def look_up(self, url):
        # A message may have no more than the asset's address.
        return self.client.assets.get(url).follow("describedby")

    @retry_on_conflict
    def tag(self, url):
        metadata = self.client.metadata(url)
        words = (metadata[FIELD] or "").split()
        if WORD not in words:  # An event may come twice; the second time, this is all.
            metadata[FIELD] = " ".join([*words, WORD])
            self.client.put_metadata(metadata)

    def clean_up(self):
        self.client.close()
