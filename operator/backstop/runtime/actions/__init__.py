"""One module for each way to act: what a step changes, and the change itself."""
