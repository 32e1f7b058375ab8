"""The gRPC edge.

A request's way through it:

    client -> server (sockets, TLS, limits) -> errors (translator around every RPC)
           -> access (who calls, and may they)
           -> a servicer (convert, call the use case, convert) -> application

Nothing is decided here: a servicer's method reads the message, calls one use case, and writes
the answer. ``converters`` alone knows how messages and values correspond, and ``errors`` alone
how an error becomes a status.
"""
