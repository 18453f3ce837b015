"""The running program: gRPC server, command line, settings, embedded PostgreSQL."""
