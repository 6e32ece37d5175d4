"""A small text scorer behind requests."""
