"""The demo: a real cluster, a model with users, four faults, and Backstop between them.

It uses only what a user would: `kubectl`, manifests, and the command `backstop run`. What users saw
is measured at the gateway by a load process of its own; what Backstop did is read from its
Incident objects.
"""
