"""The devices of this machine, behind the inventory's port. Alone imports pynvml.

inventory.py combines nvml.py (NVIDIA GPUs), accelerators.py (AMD GPUs), cpu.py (this machine) and
catalogue.py (known GPUs that need not be attached). energy.py combines their energy readings with
those of rapl.py.
"""
