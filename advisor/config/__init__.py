"""The daemon's settings: what there is to set, how values are read, where they come from.

``settings`` has them all with their defaults; ``values`` reads one; ``loading`` finds them in
flags, variables and the file; ``logs`` sets up logging as they say.
"""
