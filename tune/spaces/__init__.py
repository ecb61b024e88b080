"""Search spaces: read from their files, checked before a search, and asked for configurations."""
