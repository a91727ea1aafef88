"""Sealing and unsealing of model parameters (DESIGN sections 7 and 12), with an image and a lock of its own.

Pure: reasons, report, segments, manifest, wrapping, listing, sizing. Effects: everything else.
`python -m verticalmodel.seal` is the init container that turns a source into a folder of verified parameters.
"""
