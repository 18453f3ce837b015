"""The referee of reconciliation: what payers would send, what is right to make of it, and the product's score.

The world, the payers' files and the answer key know nothing of `reconciliation`: import-linter proves it.
"""
