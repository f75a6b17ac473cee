"""Statistical tests on arrays of counts: how sure one may be of what the counts show."""
