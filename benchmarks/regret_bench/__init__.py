"""How near advice comes to the best of a brute-force grid, and what the advice costs."""
