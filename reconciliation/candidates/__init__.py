"""Proposed matches: which claims a claim payment in suspense may be about. Nothing here can post."""
