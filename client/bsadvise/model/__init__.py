"""Values that the user sees: requests, devices, commands, measurements and advice."""
