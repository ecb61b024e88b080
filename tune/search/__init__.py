"""A search, from its options to its run folder."""
