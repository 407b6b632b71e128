"""What an operator runs beside the server, or upon it."""
