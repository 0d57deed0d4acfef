"""Recorded drives: logs of real boxes read, judged, compared with a training, and turned into base scenarios.

Not here: what the environment needs of a drive (the profile of a recorded hazard is in `envs`).
"""
