"""Routers: each reads and writes the weights of the routes that a spec names."""
