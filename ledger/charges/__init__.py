"""Faults that are a provider's own: whether a book charges them at all."""
