"""Which numbers a model server exports, and under which names: one module for each server."""
