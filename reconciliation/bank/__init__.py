"""What the bank says: statements and deposits, and the remittances whose money they are."""
