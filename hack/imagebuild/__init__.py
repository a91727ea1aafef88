"""Builds the project's container images from a checkout; standard library only. Run it as `hack/images`."""
