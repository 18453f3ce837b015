"""The second person: limits, proposals and what is decided on them."""
