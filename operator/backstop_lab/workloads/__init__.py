"""What runs in the pods of the demo and the benchmarks: a model service and its feature store."""
