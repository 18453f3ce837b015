"""The database's history, forward only. Each version is one .sql file beside a small .py file."""
