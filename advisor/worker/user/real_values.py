"""The values of tensors of every kind as real numbers: sparse, complex, quantized, of few bits."""

from __future__ import annotations

import torch
from torch import Tensor

_LEAST_REDUCED_BITS = 16
"""Of a floating type that sums and norms are defined for."""


def stored_values(tensor: Tensor) -> Tensor:
    """Return what a tensor holds: of a sparse one its values, of any other the tensor itself."""
    if tensor.layout is torch.strided:
        return tensor
    return tensor.coalesce().values() if tensor.layout is torch.sparse_coo else tensor.values()


def real_values(tensor: Tensor) -> Tensor:
    """Return the values that a tensor holds in a floating type of at least 16 bits.

    A view wherever there is one. A complex number gives two values, in a last dimension of 2.
    """
    values = stored_values(tensor.detach())
    if values.is_complex():
        return torch.view_as_real(values.resolve_conj())
    if values.is_quantized:
        return values.dequantize()
    is_reduced = values.is_floating_point() and values.itemsize * 8 >= _LEAST_REDUCED_BITS
    return values if is_reduced else values.double()
