"""The mail room: reads what payers send and settles it against the books. Never touches the postings table."""
