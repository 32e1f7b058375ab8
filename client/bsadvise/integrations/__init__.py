"""bsadvise from inside a training, and from inside what trainings are run with.

    transformers.recommend(trainer)      ask, from the script that is about to train
    lightning.BatchSizeAdvisor           the same as a callback
    mlflow.log_advice, wandb.log_advice  an answer, and its trials, in an experiment tracker
    airflow.BsadviseOperator             a task of a workflow
    github                               what the GitHub Action runs

Each is imported by its name, and imports its library then; Hydra finds its plugin by itself, in
``hydra_plugins`` beside this package. ``running_script`` is what the first two share: the script
that runs is sent, with its arguments, and its own call of the trainer is what is measured. In the
worker's run of it they find themselves observed, and change nothing.
"""
