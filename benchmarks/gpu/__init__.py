"""What has to be seen on a GPU, in one run that ends in time: ``make gpu``.

bootstrap ──> __main__ ──> machine (in a process): what is here
              │  plan: which steps run, which are skipped and why
              └─ running: each step in a process of its own, with a limit of its own
                   └─ step ──> gpu_tests, memory, sandbox, energy, recommendation
                        └─ report: figures, kept as they come
wheels: collects beforehand what a machine without a network will lack
"""
