"""What a log says, and the small values that every stage reads."""
