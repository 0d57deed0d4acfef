"""General tools: files, scratch folders, progress, worker processes, safe XML, bounds, statistics.

They import nothing else of the package but `roadsense.errors`.
"""
