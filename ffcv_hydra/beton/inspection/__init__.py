"""What people ask about a file."""
