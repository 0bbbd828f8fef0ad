"""What a composed config says, as objects: its `_target_` nodes, its betons, and its loaders and data module."""
