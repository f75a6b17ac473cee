"""Signal kinds, one module each: what to ask a metrics source, and what the answer amounts to."""
