"""XmlExport: a transfer plugin that exports media and metadata by FTP."""
