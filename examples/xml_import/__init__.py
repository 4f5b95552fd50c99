"""XmlImport: XML and media that arrive in an import storage, in either order."""
