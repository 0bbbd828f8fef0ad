"""Libraries of transforms to compare, one per file.

Each has `PACKAGES`, whose versions are shown, `STEPS`, from the name of a step of `benchmarks.steps` to what it calls,
`transform(step, images)`, which gives a call that puts images through one step, and `batches(work)`, `Epochs` of a
recipe, unless it is no loader.
"""
