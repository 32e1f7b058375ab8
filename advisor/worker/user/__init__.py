"""The user's code: loading it, calling it, and explaining its errors."""
