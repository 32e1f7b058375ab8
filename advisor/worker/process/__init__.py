"""The worker's process: its fork server, its limits and its sandbox."""
