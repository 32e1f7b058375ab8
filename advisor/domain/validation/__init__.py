"""What must hold of values that cross into the daemon.

The classes themselves check nothing: a client must be able to read what a newer daemon sends.
"""
