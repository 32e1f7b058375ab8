"""From measurements to the answer: the choice, its verification, and what is said with it."""
