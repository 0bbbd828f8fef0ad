# From a fresh clone to a trained model: make run. PYTHON=PATH chooses the interpreter.
PYTHON ?=
ARGS ?=
STAMP := .venv/.installed
BENCH_STAMP := .venv/.bench-installed
BENCHMARKS := random-crop center-crop ffcv-file-random-crop ffcv-file-center-crop small-images large-photos \
	many-channels detection operations recipes loader-overhead shards remote shuffling scale start memory conversion gpu-check

.DEFAULT_GOAL := help
.PHONY: help setup run convert test test-exhaustive test-without-ffcv test-other-loops fuzz crash-test state-machine ffcv-suite golden pixel-table rooms-picture docs docs-check docs-figures lint wheels clean bench bench-setup $(BENCHMARKS:%=bench-%)

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1: /p' $(MAKEFILE_LIST)

setup: $(STAMP)  ## install system packages (through apt), .venv and everything in it

$(STAMP): pyproject.toml tools/setup.sh
	tools/setup.sh $(PYTHON)
	@touch $@

run: setup  ## train on handwritten digits; make run ARGS="..." runs anything else
	.venv/bin/python run.py $(or $(ARGS),experiment=digits)

convert: setup  ## write a dataset's betons; make convert ARGS="dataset=digits"
	.venv/bin/python convert.py $(ARGS)

test: setup  ## run the tests; make test ARGS="-k loader" some of them
	.venv/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

test-exhaustive: setup  ## run the tests that take long and that make test leaves out, for other tests hold a part of each
	.venv/bin/python -m pytest -n 2 -m exhaustive $(ARGS)

# What is imported, found or said otherwise without FFCV; `make test` runs the same with it.
WITHOUT_FFCV := tests/test_without_ffcv.py tests/beton/fields/test_inference.py tests/beton/reading tests/bench tests/building \
	tests/callbacks tests/cli/test_inspection.py tests/cli/test_preview.py tests/loader/test_golden.py \
	tests/ordering tests/preview tests/test_conversion.py tests/test_datamodule.py \
	tests/test_end_to_end.py::test_a_run_is_resumed_evaluated_and_predicted_from_its_checkpoint

test-without-ffcv: setup  ## run those tests that differ without FFCV, without it, OpenCV and a compiler; others are counted
	.venv/bin/python tools/without_ffcv.py
	env -u CC -u CXX PATH=$(CURDIR)/.venv-without-ffcv/bin:$(CURDIR)/.venv-without-ffcv/path \
		.venv-without-ffcv/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -rs $(WITHOUT_FFCV) $(ARGS)

# What is skipped where these packages are missing: .venv has none of them.
OTHER_LOOPS := tests/docs/test_ray_train.py tests/test_dataloader.py::test_hugging_faces_trainer_takes_dictionaries \
	tests/test_loader_options.py::test_lightnings_command_line_takes_each_by_its_name
WITH_LIGHTNING := tests/test_lightning_copies_internals.py::test_a_trainer_of_lightning_takes_them

test-other-loops: .venv-other-loops/.installed  ## run the tests that need Ray Train, transformers, lightning or jsonargparse
	.venv-other-loops/bin/python -m pytest -n 2 --dist loadfile -rs $(OTHER_LOOPS) $(ARGS)
	PYTHONPATH=$(CURDIR)/.venv-other-loops/lightning:$(CURDIR) .venv-other-loops/bin/python -m pytest -rs $(WITH_LIGHTNING) $(ARGS)

.venv-other-loops/.installed: $(STAMP) tools/other_loops.sh
	tools/other_loops.sh
	@touch $@

fuzz: setup  ## read 100,000 damaged betons and as many damaged JPEGs; must end in the right samples or in an error
	FUZZ_MUTATIONS=100000 .venv/bin/python -m pytest -rP tests/beton/test_fuzz.py tests/kernels/test_jpeg_fuzz.py $(ARGS)

crash-test: setup  ## kill 1,000 conversions and downloads; each must leave nothing or all, and be gone on with
	CRASH_KILLS=1000 .venv/bin/python -m pytest tests/beton/test_crash.py \
		tests/collection/test_data_cache.py tests/collection/test_cache_room.py $(ARGS)

state-machine: setup  ## drive loaders through 20,000 sequences of everything that one can do to them
	STATE_MACHINE_EXAMPLES=20000 .venv/bin/python -m pytest -n 2 tests/loader/test_state_machine.py $(ARGS)

ffcv-suite: setup  ## run FFCV's own tests and example, downloaded from PyPI, on FFCV and on its stand-in here; 15 minutes
	.venv/bin/python -m tools.ffcv_suite $(ARGS)

bench: $(BENCHMARKS:%=bench-%)  ## all comparisons with other loaders, an hour; bench-NAME for one of them, see benchmarks/

$(BENCHMARKS:%=bench-%): bench-%: $(BENCH_STAMP)
	.venv/bin/python -m benchmarks.$(subst -,_,$*) $(ARGS)

bench-setup: $(BENCH_STAMP)  ## install the loaders that are compared with

$(BENCH_STAMP): $(STAMP) $(wildcard benchmarks/requirements-*.txt)
	.venv/bin/python -m pip install --editable '.[bench]'
	.venv/bin/python -m pip install --no-deps $(patsubst %,-r %,$(wildcard benchmarks/requirements-*.txt))
	@{ ldconfig -p || /sbin/ldconfig -p; } | grep -q libavdevice || echo "SPDL needs FFmpeg: apt-get install ffmpeg"
	@touch $@

golden: setup  ## keep anew what loaders give; make golden ENTRY="words of CHANGELOG.md that say why it is another"
	.venv/bin/python -m tests.loader.golden.batches "$(ENTRY)"

pixel-table: setup  ## print the table in docs/pixels.md anew
	.venv/bin/python -m tests.operations.pixel_table

rooms-picture: setup  ## draw docs/rooms.svg anew, or list the imports that break a rule
	.venv/bin/python -m tools.rooms

docs: setup  ## build the documentation site in site/; a warning is an error
	NO_MKDOCS_2_WARNING=1 .venv/bin/python -m mkdocs build --strict --quiet --clean

docs-check: setup  ## run what README and docs/ show, and compare what it prints
	DOCS_CHECK=1 .venv/bin/python -m pytest -n 2 tests/docs $(ARGS)

docs-figures: setup rooms-picture  ## make the pictures of docs/ anew, but for those of speed, which are the benchmarks'
	.venv/bin/python -m tests.docs.figures

lint: setup  ## ruff and mypy
	.venv/bin/python -m ruff check .
	.venv/bin/python -m mypy

wheels:  ## build dist/*.whl; make wheels FFCV=1 one of FFCV as well, with its libraries, for machines without compilers
	FFCV=$(FFCV) tools/wheels.sh $(PYTHON)

clean:  ## remove .venv and caches; data/ and outputs/ stay
	rm -rf .venv .venv-without-ffcv .venv-other-loops build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
