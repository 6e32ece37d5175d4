"""A text curation pipeline over the licence and copyright files that every machine has."""
