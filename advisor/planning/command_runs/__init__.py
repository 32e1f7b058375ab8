"""Advice on a command, whose settings are compared by whole runs of it.

The command is started anew for each batch size, at the learning rate that the rule gives for it.
What is measured is memory and throughput; no losses are compared.
"""
