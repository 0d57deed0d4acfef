"""Worker processes of a training, each with an environment and the policy: start, shared memory, crash reports.

Not here: the learning algorithm, which runs in the main process (`roadsense.training.algorithms`).
"""
