"""Export media from FTP to FTP, and its metadata as XML beside it: a transfer plugin.

flow-run examples/xml_export/xml_export.ini < plugindata.xml
"""

import ftplib
import io
from contextlib import closing, contextmanager, suppress
from urllib.parse import unquote, urlsplit

from flowtools.transferplugin import TransferPlugin
from flowtools.vizone.document import serialise

SECONDS = 60
"""How long a server may be silent."""

BLOCK = 1 << 18


class XmlExport(TransferPlugin):
    """Copies the media, and then writes FILE.xml; reports how far it is."""

    def start(self, data):
        self.use(data)
        if self.asset.payload is None:
            self.fail("the asset has no metadata")
        self.update_progress(0)
        try:
            self.copy_media()
            with connect(self.destination) as (ftp, path):
                metadata = io.BytesIO(serialise(self.asset.payload.element))
                ftp.storbinary(f"STOR {path}.xml", metadata)
        except (ValueError, *ftplib.all_errors) as error:
            self.fail(f"cannot export: {str(error) or 'a server has gone in the middle of it'}")
        self.update_progress(100)

    def copy_media(self):
        with connect(self.source) as (source, path), connect(self.destination) as (target, to):
            source.voidcmd("TYPE I")
            size = source.size(path) or 0
            sent = 0

            def count(block):
                nonlocal sent
                sent += len(block)
                # The last per cent is the metadata's.
                self.update_progress(99 * sent / size if size else 0)

            with source.transfercmd(f"RETR {path}") as incoming, incoming.makefile("rb") as media:
                target.storbinary(f"STOR {to}", media, BLOCK, count)
            source.voidresp()
            if size and sent != size:
                raise ValueError(f"{sent} of {size} bytes came")


@contextmanager
def connect(url):
    """Log in at the server of an ftp URL; give the connection and the path there (RFC 1738)."""
    parts = urlsplit(url)
    if parts.scheme != "ftp" or not parts.hostname:
        raise ValueError(f"'{parts.scheme}' is no address of an FTP server")
    # Not `with ftplib.FTP()`: after an error its goodbye gets the answer to what was broken
    # off, and raises that instead.
    with closing(ftplib.FTP(timeout=SECONDS)) as ftp:  # noqa: S321  it is what Viz One speaks
        ftp.connect(parts.hostname, parts.port or ftplib.FTP_PORT)
        ftp.login(unquote(parts.username or ""), unquote(parts.password or ""))
        # What follows the first slash; an absolute path begins with %2F.
        yield ftp, unquote(parts.path[1:])
        with suppress(*ftplib.all_errors):
            ftp.quit()
