"""Export of a policy: conversion to TFLite, calibration, parity, driving, latency, firmware files and the model card.

Not here: the whole export, `roadsense.export`, which calls these; running a `.tflite` file (`roadsense.policies`).
"""
