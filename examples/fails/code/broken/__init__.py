"""A pipeline with a fault in its data."""
