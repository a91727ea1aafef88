"""What runs on each node: published devices, and the kubelet's two ways to hand them to a pod (DRA, device plugin)."""
