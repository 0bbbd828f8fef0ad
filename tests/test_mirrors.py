"""Where the tests of each module are: in the file of its name, or in one of those that are named here."""

import ast
from pathlib import Path

import pytest

from tools.rooms import ROOT, imports_of

TESTS = Path(__file__).parent
ELSEWHERE = {
    "bench/test_bench.py": "bench/decoding bench/facts bench/measuring bench/printing bench/report bench/splitting",
    "beton/fields/test_coercion.py": "beton/fields/base beton/fields/rgb",
    "beton/fields/test_image_array_field.py": "beton/fields/tiles",
    "beton/fields/test_encoded_jpeg.py": "beton/fields/source_image",
    "beton/fields/test_inference.py": "beton/fields/array_fields beton/fields/bytes_fields beton/fields/scalar_fields",
    "beton/fields/test_random_access_image.py": "beton/fields/rgb_image_field",
    "collection/test_data_cache.py": "collection/remote_file",
    "collection/test_fetching.py": "cli/remote collection/uploading",
    "collection/test_mixture.py": "collection/common_fields collection/paths ordering/mixed",
    "collection/test_remote_shards.py": "collection/pass_needs",
    "collection/test_subset.py": "beton/writing/stored_value collection/stored_samples",
    "collection/test_shards.py": (
        "beton/reading/mapped beton/reading/mapping beton/stored_file collection/columns collection/entries"
        " collection/shard_files kernels/memory/rows loader/engine/files"
    ),
    "beton/reading/test_reader.py": (
        "beton/format beton/tables beton/fields/stored_types beton/reading/checks beton/reading/opening"
    ),
    "beton/test_crash.py": "beton/writing/journal beton/writing/resuming",
    "beton/test_iterables.py": "beton/writing/source beton/writing/spool",
    "beton/test_manifest.py": "beton/inspection/manifest_difference beton/writing/source_manifest",
    "beton/test_resume.py": "beton/writing/resume_fingerprint",
    "beton/test_writer_failures.py": "beton/writing/worker beton/writing/worker_pool",
    "beton/writing/test_writer.py": "beton/writing/beton_file beton/writing/encoding beton/writing/preparing",
    "collection/test_writing.py": (
        "beton/writing/part_stream beton/writing/placing beton_path collection/shard_writer collection/unfinished"
    ),
    "building/test_preparation.py": "building/source_look datasets/progress stages",
    "test_run_folder.py": "process_identity process_memory training/provenance",
    "sweeps/test_groups.py": "sweeps/curves",
    "training/test_rows_file.py": "training/step_logger",
    "callbacks/test_progress_bar.py": "callbacks/batch_size callbacks/parameter_summary",
    "cli/test_errors.py": "cli/composition_errors cli/entry cli/task_errors",
    "cli/test_schema.py": "cli/sections",
    "cli/test_inspection.py": (
        "__main__ cli/betons cli/loading cli/runs cli/tool"
        " beton/inspection/information beton/inspection/source_comparison beton/reading/verification"
        " collection/verification"
    ),
    "datasets/test_cifar10.py": "datasets/torchvision_splits",
    "datasets/test_coco.py": "datasets/annotated_images datasets/coco_file datasets/marks",
    "datasets/test_image_folder.py": "datasets/image_suffixes datasets/opened_image",
    "datasets/test_voc.py": "datasets/listed_classes",
    "datasets/test_yolo.py": "datasets/yolo_files",
    "ffcv_bridge/test_equivalents.py": "ffcv_bridge/operations ffcv_bridge/wrapping",
    "ffcv_bridge/test_names.py": "ffcv_bridge/reader",
    "ffcv_bridge/test_stock_ffcv.py": "ffcv_bridge/fields",
    "ordering/test_orders.py": (
        "ffcv_bridge/adapting ffcv_bridge/orders foreign ordering/base ordering/naming ordering/options ordering/ranks"
    ),
    "kernels/colour/test_blur.py": "kernels/colour/symmetric_sums",
    "kernels/colour/test_contrast.py": "kernels/colour/hue kernels/colour/pixels kernels/images/changes",
    "kernels/compiling/test_compilation.py": "kernels/memory/gather",
    "kernels/memory/test_image_chain.py": "kernels/compiling/pointers",
    "operations/test_flip.py": "kernels/geometry/flip",
    "operations/test_iou_crop.py": "kernels/geometry/iou_crop",
    "operations/test_mosaic.py": "kernels/geometry/mosaic",
    "operations/test_image_arrays.py": (
        "kernels/geometry/resample kernels/images/array_changes kernels/images/channel_dropout"
        " operations/channel_dropout"
    ),
    "kernels/geometry/test_affine.py": "kernels/geometry/warped_rows",
    "kernels/geometry/test_resize.py": "kernels/geometry/taps",
    "kernels/jpeg/test_decoder.py": (
        "kernels/compiling/vectors kernels/jpeg/bits kernels/jpeg/blocks kernels/jpeg/colour kernels/jpeg/entropy"
        " kernels/jpeg/huffman kernels/jpeg/idct kernels/jpeg/order kernels/jpeg/strip kernels/jpeg/tables"
    ),
    "kernels/jpeg/test_coefficients.py": "kernels/jpeg/progressive kernels/jpeg/scan",
    "kernels/jpeg/test_transcode.py": "kernels/jpeg/skipping",
    "beton/fields/test_baseline_jpeg.py": "kernels/jpeg/baseline",
    "beton/fields/test_opened_pixels.py": "beton/fields/pillow_internals kernels/images/png",
    "kernels/random/test_beta.py": "kernels/images/mix",
    "operations/test_erasing.py": "kernels/geometry/erase",
    "operations/test_random_crop.py": "kernels/geometry/pad_crop",
    "operations/test_scaled_decoding.py": "kernels/jpeg/reduction",
    "operations/test_shared_decoding.py": (
        "kernels/geometry/picked_pixels kernels/memory/parts operations/base operations/image_decoder operations/views"
    ),
    "loader/engine/test_storage.py": "loader/engine/pages",
    "loader/test_chains.py": "loader/plan/links operations/image_chain",
    "loader/test_damage.py": "loader/engine/decoding loader/engine/failures loader/engine/rows",
    "loader/test_loader.py": (
        "loader/engine/batch_job loader/engine/batch_memory loader/engine/chunks loader/engine/execution"
        " loader/engine/indices loader/engine/threads loader/identity loader/iteration loader/notices"
        " loader/position loader/sampler loader/plan/settings"
    ),
    "loader/test_mixing.py": "loader/plan/mixing",
    "loader/test_moving_together.py": "loader/plan/movement loader/plan/stillness loader/plan/together",
    "loader/plan/test_passes.py": "loader/plan/node",
    "loader/plan/test_fuse.py": "operations/finish",
    "loader/plan/test_schedule.py": "loader/plan/step",
    "loader/test_traps.py": "loader/plan/torch_module",
    "models/test_autoencoder.py": "models/images models/mean_loss",
    "models/test_classifier.py": "models/small_conv_net",
    "models/test_detector.py": "models/average_precision models/detection_net",
    "models/test_keypoint_finder.py": "models/point_distance",
    "models/test_optimization.py": "models/resumed_schedule",
    "models/test_recipes.py": "models/airbench models/blur_pool models/evaluation_views",
    "models/test_segmenter.py": "models/unet",
    "models/test_simclr.py": "models/nearest_neighbours models/nt_xent",
    "operations/test_colour_operations.py": (
        "kernels/images/randomly_applied operations/arguments operations/colour operations/colour_jitter"
        " operations/gaussian_blur"
        " operations/image_operation operations/pixels operations/randomly_applied operations/tones"
    ),
    "operations/test_other_operations.py": (
        "beton/reading/exact_reading beton/reading/unpacking operations/operation operations/tensors"
        " operations/to_tensor"
    ),
    "operations/test_pixel_table.py": "operations/promises",
    "loader/test_following_places.py": (
        "kernels/geometry/places loader/plan/following operations/following operations/kept_items"
    ),
    "loader/test_own_fields.py": "operations/basic_decoders operations/padded",
    "operations/test_tensor_operations.py": (
        "operations/convert operations/dtypes operations/tensor_operation operations/to_device"
    ),
    "preview/test_contact_sheet.py": "building/stage_loader preview/columns preview/stored",
    "preview/test_drawing.py": "drawn_text",
    "preview/test_pictures.py": "preview/targets",
    "report/test_charts.py": "report/curves",
    "report/test_report.py": (
        "report/confusion report/data report/evaluation report/markup report/mistakes report/pictures report/style"
    ),
    "sweeps/test_engines.py": "sweeps/delegate sweeps/slurm",
    "sweeps/test_job_process.py": "process_ends sweeps/program",
    "sweeps/test_local.py": "sweeps/grid sweeps/planning sweeps/scheduler",
    "sweeps/test_results.py": "printable sweeps/display sweeps/formats sweeps/plot sweeps/summary",
    "sweeps/test_search.py": "callbacks/pruning sweeps/trial",
    "building/test_targets.py": "nearest",
    "test_datamodule.py": "pipeline",
    "training/test_interruption.py": ("callbacks/graceful_stop training/checkpoint_io training/slurm"),
    "training/test_evaluation_record.py": "training/logged_figures",
    "training/test_first_look.py": "training/outputs",
    "training/test_train.py": (
        "callbacks/progress_file training/failed_samples training/record training/report training/run training/run_log"
    ),
    "training/test_build.py": "building/instantiation",
}
BY_MODULE = {module: test for test, modules in ELSEWHERE.items() for module in modules.split()}


@pytest.fixture(scope="module")
def modules():
    names = (name.replace(".", "/").removeprefix("ffcv_hydra/") for name in imports_of())
    return {name for name in names if (ROOT / "ffcv_hydra" / f"{name}.py").is_file()}


def own_test(module):
    folder, _, name = module.rpartition("/")
    return TESTS / folder / f"test_{name}.py"


def test_each_module_has_tests_that_can_be_found(modules):
    assert sorted(module for module in modules if module not in BY_MODULE and not own_test(module).is_file()) == []


def test_the_table_is_of_modules_without_a_file_of_their_own(modules):
    assert sum(len(listed.split()) for listed in ELSEWHERE.values()) == len(BY_MODULE)
    assert sorted(module for module in BY_MODULE if module not in modules or own_test(module).is_file()) == []


@pytest.fixture(scope="module")
def reached():
    """Modules that each module imports, and what those import."""
    imports = imports_of()

    def all_from(names):
        found, left = set(), [name for name in names if name in imports]
        while left:
            if (name := left.pop()) not in found:
                found.add(name)
                left += [imported for imported in imports[name] if imported in imports]
        return found

    return all_from


def named_in(source):
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("test", ELSEWHERE)
def test_what_is_named_reaches_the_module(reached, test):
    text = (TESTS / test).read_text()
    named = set(named_in(text))
    # what a test runs in processes of their own, for which Hydra imports the plugins
    programs = {"run.py": "cli", "convert.py": "cli", "-m": "__main__", "run_command": "training"}
    for program in (program for program in programs if program in text):
        named.add(f"ffcv_hydra.{programs[program]}")
        named.update(name for path in (ROOT / "hydra_plugins").rglob("*.py") for name in named_in(path.read_text()))
    wanted = {f"ffcv_hydra.{module}".replace("/", ".") for module in ELSEWHERE[test].split()}
    assert sorted(wanted - reached(named)) == []
