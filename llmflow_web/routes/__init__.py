"""What a URL does: one file for each audience of the two ports."""
