"""Proof that every permission is needed, from a stack's roles and its log of decisions."""
