"""Files, scratch folders, progress, worker processes, safe XML, statistics: what knows nothing of roads."""
