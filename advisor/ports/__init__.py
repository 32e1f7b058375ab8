"""What the application needs from the outside, as abstract classes that state the contracts."""
