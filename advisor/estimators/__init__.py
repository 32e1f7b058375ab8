"""Pure numerics: from measured figures to curves, intervals and scaled settings.

The symbols, unless a module says otherwise:

    b    micro-batch, samples of one forward and backward pass on one device
    a    gradient-accumulation steps
    W    data-parallel replicas
    B    effective batch, a·b·W, samples
    η    learning rate
    κ    batch ratio B/B₀ to the reference batch B₀
    𝓑    gradient noise scale, samples
"""
