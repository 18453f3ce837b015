"""The months of a book: soft-closed, closed with a frozen trial balance, reopened by two."""
