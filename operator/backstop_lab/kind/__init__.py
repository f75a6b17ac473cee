"""A kind cluster that has what the demo expects: gateway, Prometheus, and the image of its pods."""
