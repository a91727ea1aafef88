"""The prober: measures from outside, under an account of its own."""
