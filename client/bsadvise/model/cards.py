"""Names of cards that memory is predicted for without having one, and what they are called."""

from __future__ import annotations

from types import MappingProxyType

CARD_NAMES = MappingProxyType(
    {
        "t4": "Tesla T4",
        "v100-16gb": "Tesla V100-SXM2-16GB",
        "v100-32gb": "Tesla V100-SXM2-32GB",
        "a10": "NVIDIA A10",
        "a10g": "NVIDIA A10G",
        "a30": "NVIDIA A30",
        "a40": "NVIDIA A40",
        "l4": "NVIDIA L4",
        "l40s": "NVIDIA L40S",
        "a100-40gb": "NVIDIA A100-SXM4-40GB",
        "a100-80gb": "NVIDIA A100-SXM4-80GB",
        "h100-80gb": "NVIDIA H100 80GB HBM3",
        "h200": "NVIDIA H200",
        "b200": "NVIDIA B200",
        "rtx-a6000": "NVIDIA RTX A6000",
        "rtx-6000-ada": "NVIDIA RTX 6000 Ada Generation",
        "rtx-3090": "NVIDIA GeForce RTX 3090",
        "rtx-4090": "NVIDIA GeForce RTX 4090",
        "rtx-5090": "NVIDIA GeForce RTX 5090",
    }
)
"""Each card's name on the command line, and its own."""
