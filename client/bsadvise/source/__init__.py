"""The user's code as it is uploaded: the model file and what it imports."""
