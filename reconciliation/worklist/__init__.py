"""The worklist: what people make of exceptions."""
