"""Training: from scenarios and settings to a policy in a run folder.

Here are the settings, the learning algorithms, the checkpoints, the evaluation on held-out scenarios during training
and the search for settings; `vec` runs the worker processes. The run folder itself is in `roadsense.runs`, the
environment in `roadsense.envs`, and the final evaluation in `roadsense.evaluation`.
"""
