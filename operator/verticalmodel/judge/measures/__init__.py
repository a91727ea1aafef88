"""One file per measure: what it reads, what it ignores, and one pure function."""
