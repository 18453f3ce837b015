"""Journal entries: what they are, the rules that make them, how a batch is decided, where they are kept."""
