"""Where a training's metrics are written beside `metrics.jsonl`: TensorBoard, MLflow, Weights & Biases.

Each is a `KVWriter` of Stable-Baselines3's logger, and gets the same names.
"""
