"""The advised setting in the form that a training library reads; one file a format.

Each holds what to do with the text, ``USAGE``, and ``settings``, a pure function of the advice.
``registry`` names them all.
"""
