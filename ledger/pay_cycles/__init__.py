"""Pay cycles: when providers are paid, who is paid what and why, and the file that the bank gets."""
