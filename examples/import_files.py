"""Import every file that arrives: make a placeholder asset for it, and import the media.

flow-listen-files xmlimport --settle 2 | flow-work examples.import_files:ImportFiles -j 4
"""

from flowtools.source.location import UnmanagedFilesListener
from flowtools.vizone import Client, ConflictError, Locked


class ImportFiles:
    """Makes an asset of each file. Several events about one file make only one asset."""

    SOURCE = UnmanagedFilesListener

    def configure(self, config):
        self.client = Client.from_environment()

    def start(self, event):
        # The file's id is also the asset's identity. With it, later events find the same asset.
        # The lock keeps two threads from making it at the same time.
        with Locked(event["id"]):
            asset = self.client.assets.create_or_update_asset(event["id"], event["name"])
            if asset.media != "placeholder" or asset.status == "importing":
                return  # An earlier event has imported the file.
            try:
                self.client.files.import_into(asset, event["links"]["self"])
            except ConflictError:
                return  # An earlier request was carried out, but its answer was lost.

    def clean_up(self):
        self.client.close()
