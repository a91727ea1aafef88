"""Real Kubernetes clusters on one Linux machine: no Docker, no systemd, no image registry.

For tests: `Cluster.up("name", Shape(nodes=3))`, then `.kubeconfig`, `.node_names`, `.load_image(path)`,
`.power_off(node)`, `.power_on(node)`, `.down()`. On the command line: `hack/cluster --help`.
"""

from testcluster.cluster import Cluster
from testcluster.errors import ClusterError, CommandError, TimedOutError, UsageError
from testcluster.layout import Shape

__all__ = ["Cluster", "ClusterError", "CommandError", "Shape", "TimedOutError", "UsageError"]
