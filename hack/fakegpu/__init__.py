"""Simulated GPUs for test clusters. Never installed for users: every device says `verticalmodel.io/simulated`."""
