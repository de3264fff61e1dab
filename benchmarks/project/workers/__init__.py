"""The workers of the benchmarks' project."""
