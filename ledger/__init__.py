"""The books: accounts, journal entries and the reports about them. Knows accounting, has never heard of an 835."""
