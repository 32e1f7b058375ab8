"""Pure numerics: from measured figures to curves, intervals and scaled settings.

The symbols, unless a module says otherwise:

    symbol  meaning                                                    unit
    b       micro-batch: batch of one forward and backward pass        samples
            on one device
    a       gradient-accumulation steps                                –
    W       data-parallel replicas                                     –
    B       effective batch size, a·b·W                                samples
    η       learning rate                                              –
    κ       batch ratio B/B₀ to the reference batch B₀                 –
    𝓑       gradient noise scale                                       samples

Numbers that were chosen, on evidence or by rule of thumb, are fields of the module's ``…Tuning``
value and are passed in. Constants of mathematics, of other software and of quoted rules are module
constants with their source.
"""
