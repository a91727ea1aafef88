"""The stranger: a pod without any grant, which tries to get at a model and tells what came of it (clause 34)."""
