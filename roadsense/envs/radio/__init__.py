"""The radio between cars: channel, presets, equipped cars, logs of real hardware and radios fitted to them.

Not here: how heard messages become an observation (`roadsense.envs.observation`).
"""
