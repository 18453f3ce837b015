"""What people say of claim payments: whose they are, in parts where need be, and that they are not."""
