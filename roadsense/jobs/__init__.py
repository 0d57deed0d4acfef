"""Jobs: a notebook, its parameters and a machine."""
