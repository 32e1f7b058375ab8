"""The child process: the only place that imports torch and runs the user's code.

commands from the daemon
    |
commands.execution.Worker    one job; a command in, an outcome out, never an exception
    |
commands.*                   what each command measures; they know the protocol alone
    |
loop.protocol                Task.build(recipe) -> Training: step, evaluate, state, restore;
    |                        loop.training is the loop that tasks share; observers see phases
    |
entries.*                    ways in to the user's code, each a Task: the model file; a script, by
    |                        whose loop it trains; own_loop drives that of the script itself
    |
scripts.*                    running.run_script runs a training script as its user does; what it
    |                        does by way of training is handed to a handler.ScriptHandler
    |
user.* data.*                hooks.Hooks calls the user's code, diagnosis explains what goes
                             wrong, data serves batches

loop.allocation_tracker counts the bytes of live storages, fake and real; tracing makes the fake
tensors.
"""
