"""Find categories and say honestly how good they are."""
