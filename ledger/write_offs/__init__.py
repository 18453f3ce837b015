"""Small remainders that a person may give up, up to a cap that an approver sets."""
