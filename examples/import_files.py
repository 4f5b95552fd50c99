"""Import every file that arrives: a placeholder for each, and its media from the file.

flow-listen-files xmlimport --settle 2 | flow-work examples.import_files:ImportFiles -j 4
"""

from flowtools.source.location import UnmanagedFilesListener
from flowtools.vizone import Client, ConflictError, Locked


class ImportFiles:
    """Makes an asset of each file. However often it is told of a file, there is one asset."""

    SOURCE = UnmanagedFilesListener

    def configure(self, config):
        self.client = Client.from_environment()

    def start(self, event):
        # The identity that we choose is what finds the asset again.
        with Locked(event["id"]):
            asset = self.client.assets.create_or_update_asset(event["id"], event["name"])
            if asset.media != "placeholder" or asset.status == "importing":
                return  # An earlier event has done it.
            try:
                self.client.files.import_into(asset, event["links"]["self"])
            except ConflictError:
                return  # The answer to an earlier try was lost; the import was not.

    def clean_up(self):
        self.client.close()
