"""A real node: kubelet, containerd, runc and kube-proxy on the lab's control plane, as root.

For tests of the image, the security context and the chart as a cluster really runs them. The
process pods of the lab stay the default: they need no privileges and start faster.
"""
