"""XmlImport: imports pairs of XML and media files from an import storage, in either order."""
