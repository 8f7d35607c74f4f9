"""That every permission is needed: read from a stack's roles and its log of decisions."""
