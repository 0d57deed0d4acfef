"""Drawings that several steps share: style, road, vehicles, one episode as a still and in the player."""
