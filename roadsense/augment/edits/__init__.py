"""A draw's values written into the elements of a scenario's files, one edit a function. Nothing is drawn here."""
