"""Pure decisions: values in, values out. No I/O, no clock, no logging, no framework.

An import contract enforces this, and every branch here is covered by tests.
"""
