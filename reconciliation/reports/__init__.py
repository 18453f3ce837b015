"""Questions about remittances, one SQL file each."""
