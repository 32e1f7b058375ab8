"""One module for each command that the daemon sends."""
