"""The VerticalModel operator: every clause of the regulation is a status condition with a measured number."""

__version__ = "0.1.0"
