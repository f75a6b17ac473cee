"""The shell: what happens when, and in which order, around the pure decisions."""
