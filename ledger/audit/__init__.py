"""Proof that the books are sound: everything recomputed, and the guards in place."""
