"""What tasks share is kept from telling which task it serves."""
