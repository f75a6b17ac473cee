"""Ways to tell people: each is bounded, and its failure never delays an action."""
