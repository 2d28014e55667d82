"""From an answer to metrics and from metrics to a score. Silent; no I/O but a user's own evaluator module."""
