"""Manifests of the children, one file per kind. Pure."""
