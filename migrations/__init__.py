"""The database's history, forward only. Each version is one .sql file beside a small .py file.

A version only adds, so that servers of the version before go on while it runs and until they are replaced: what
they read, write or guard stays as it is, functions of triggers too. A version that takes away or changes says so
in its .py file, `oldest_program = "..."`: the first version whose program can live with it. Older ones then stop.
"""
