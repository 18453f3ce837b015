"""How fast the ledger posts and reads, on the program as it is served: `make bench`, `make bench-growth`."""
