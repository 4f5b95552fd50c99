"""MetadataMapper: fields of metadata, kept in step with one another by expressions."""
