"""A transfer plugin that copies media between FTP servers, and writes the metadata as XML.

flow-run examples/xml_export/xml_export.ini < plugindata.xml
"""

from flowtools import ftp
from flowtools.errors import FlowError
from flowtools.transferplugin import TransferPlugin
from flowtools.vizone.document import serialise


class XmlExport(TransferPlugin):
    """Copies the media and then writes FILE.xml, with reports of the progress."""

    def start(self, data):
        self.use(data)
        if self.asset.payload is None:
            self.fail("the asset has no metadata")
        self.update_progress(0)
        try:
            ftp.copy(self.source, self.destination, self.media_progress)
            ftp.write(f"{self.destination}.xml", serialise(self.asset.payload.element))
        except (FlowError, ValueError) as error:
            self.fail(f"cannot export: {error}")
        self.update_progress(100)

    def media_progress(self, per_cent):
        # The last per cent is left for the metadata.
        self.update_progress(0.99 * per_cent)
