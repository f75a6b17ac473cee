"""A real Kubernetes cluster on one machine, without Docker, for the demo and the tests.

It exists so that Backstop is tried against a real API server, real controllers, a real gateway and
a real Prometheus on any Linux machine, without privileges. Everything lives in namespaces of
its own: when the command ends, so does the cluster, and nothing is left behind. The package
`backstop` never imports this one.
"""
