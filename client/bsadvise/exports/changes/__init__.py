"""An answer in the user's own lines: which flag, key or number to change, and the change itself.

All of it is pure but ``writing``: what is read are the files as they were sent.
"""
