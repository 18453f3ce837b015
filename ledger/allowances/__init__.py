"""Allowances for denials: how they are computed, what was posted for which month, and the rates behind it."""
