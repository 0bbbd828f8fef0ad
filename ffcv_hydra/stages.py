"""What a run does with data, each with a split and a pipeline of its own."""

STAGES = ("train", "val", "test", "predict")
