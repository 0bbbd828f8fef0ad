"""How one entry of a dataset's items is stored."""
