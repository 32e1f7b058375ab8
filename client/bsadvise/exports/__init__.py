"""A job in the formats of other programs: what is written is pure, where it goes is the edge."""
