"""Frames of an episode, drawn with Pillow in the style of the player: road, cars and messages, and figures over time.

The environment's `render_mode="rgb_array"` and videos of recorded episodes are made of them.
"""
