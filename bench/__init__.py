"""Benchmarks: real services, real data; a table for people, and JSON as the last line."""
