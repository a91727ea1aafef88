"""The reference runtime: one ONNX model behind the Open Inference Protocol v2, on the loopback interface only.

Runs in its own image with its own lock (`requirements/serving.txt`); nothing else of this package is in it.
`python -m verticalmodel.serving --model-name NAME --model-path PATH`.
"""
