"""The study file: its schema, loading it with file:line errors, and turning it into domain values.

The only home of YAML.
"""
