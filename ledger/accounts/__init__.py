"""Books and accounts: what they are, the chart that opens them, where they are kept, how they are asked for."""
