"""What is printed: answers, tables and progress."""
