"""The VerticalModel operator: every clause of the regulation is a status condition with a measured number."""
