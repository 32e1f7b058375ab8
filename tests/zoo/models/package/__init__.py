"""Modules beside a model file."""
