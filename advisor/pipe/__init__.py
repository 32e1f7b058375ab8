"""What passes between the daemon, the fork server and the workers.

``v1`` holds the generated messages, ``framing`` puts them on a stream. Never pickle: what a
worker sends is read by the daemon, and a worker runs strangers' code.
"""
