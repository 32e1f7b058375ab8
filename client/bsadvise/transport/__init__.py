"""Reaching a daemon: channels, credentials, operations, and starting a private one."""
