"""What a dataset says about itself: README, tables and figures, made from its manifest. Not the draws of a preview."""
