"""The child process: the only place that imports torch and runs the user's code.

commands from the daemon
    |
execution.Worker         one job; a command in, an outcome out, never an exception
    |
task.Task                the user's model file: hooks.Hooks calls, model_file.load finds,
    |                    data.* serve batches, diagnosis.* explains what goes wrong
    |
step.TrainingStep        the one training step; observers look on
    |
tracing  running  timing  training  inspection     what each command measures with it
    |
accountant.Accountant    bytes of live storages, for fake tensors and real ones
"""
