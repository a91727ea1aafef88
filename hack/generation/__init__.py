"""Files derived from the code: one command writes them, the same command checks that nobody edited them."""
