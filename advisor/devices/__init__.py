"""The devices of this machine, behind the inventory's port. Alone imports pynvml.

inventory.py puts together what nvml.py (NVIDIA's GPUs), accelerators.py (AMD's), cpu.py (this
machine) and catalogue.py (cards that may be elsewhere) know. energy.py does so with what they and
rapl.py tell of the energy that each takes.
"""
