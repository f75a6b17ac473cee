"""What can be measured of a model: shares of events, and values. Rules hold it against limits."""
