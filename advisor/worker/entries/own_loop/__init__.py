"""Training loops of scripts, as they are: the script runs once, and is told what to do next.

    the thread of commands                     the script's thread, in which all tensors are made
    task → training → execution → request ──▶ handler: next batch, backward pass, optimizer step
                          ▲                        │
                          └──────── turns ◀────────┘  at the next batch, once the request is done

The script waits whenever it asks its training loader for a batch. A request says what that batch
and those after it are for: one optimizer step, its gradients alone, or a held-out loss.
"""
