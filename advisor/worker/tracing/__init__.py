"""Tracing a training step with fake tensors."""
