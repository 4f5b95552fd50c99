"""MetadataMapper: keeps fields of metadata up to date with expressions over other fields."""
