"""The running program: gRPC server, command line, settings, embedded PostgreSQL."""

import os

# Before gRPC is imported: what it does in a process that is being started as another user, which PostgreSQL's
# programs are where we run as root, can end that process before it has begun.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
