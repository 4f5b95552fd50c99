"""Tag every asset that is created or changed: a small but complete Worker.

flow-listen-assets | flow-work examples.tag:Tag -j 4
"""

from flowtools.source.asset import AssetEntryListener
from flowtools.vizone import Client, NotFoundError, retry_on_conflict

FIELD = "asset.keywords"
WORD = "flowtools"


class Tag:
    """Adds a word to a free-text field of each asset's metadata."""

    SOURCE = AssetEntryListener

    def configure(self, config):
        # One client serves all threads. VIZONE_URL, VIZONE_USER and VIZONE_PASSWORD are its login.
        self.client = Client.from_environment()

    def start(self, event):
        if event.type == "flow.asset.deleted":
            return
        try:
            self.tag(event["links"].get("describedby") or self.look_up(event["links"]["self"]))
        except NotFoundError:
            return  # The asset has been deleted meanwhile.

    def look_up(self, url):
        # Some messages contain only the URL of the asset.
        return self.client.assets.get(url).follow("describedby")

    @retry_on_conflict
    def tag(self, url):
        metadata = self.client.metadata(url)
        words = (metadata[FIELD] or "").split()
        if WORD not in words:  # An event may come twice. The second one must change nothing.
            metadata[FIELD] = " ".join([*words, WORD])
            self.client.put_metadata(metadata)

    def clean_up(self):
        self.client.close()
