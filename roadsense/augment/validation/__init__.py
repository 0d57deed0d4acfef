"""Generate, simulate, accept or draw again: until every place of a dataset is filled."""
