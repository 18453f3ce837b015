"""Questions about the books, each one a .sql file that an auditor can paste into psql, and exports of them."""
