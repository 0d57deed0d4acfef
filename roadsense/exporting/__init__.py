"""Export of a policy: conversion to TFLite, calibration, parity, driving, latency, firmware files and the model card.

The step that puts them together is `roadsense.export`; running a `.tflite` file is in `roadsense.policies`.
"""
