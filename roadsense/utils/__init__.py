"""Tools without knowledge of roads: files, scratch folders, progress, worker processes, safe XML, bounds, statistics.

Nothing here imports another part of the package than `roadsense.errors`.
"""
