"""The values of client and daemon: requests, devices, commands, measurements and advice."""
