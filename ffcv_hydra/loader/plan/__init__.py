"""From pipelines to what is done to every batch."""
