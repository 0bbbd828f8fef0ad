"""Every option of every group composes, is checked, and says what it is."""

import inspect
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_module
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import OmegaConf, open_dict

import ffcv_hydra.cli  # noqa: F401  (registers the resolvers)
from ffcv_hydra.beton import RandomAccessImageField, fingerprint, write_beton
from ffcv_hydra.beton.fields.options import WRITE_MODES
from ffcv_hydra.beton.fields.rgb_image_field import RGBImageField
from ffcv_hydra.building.conversion_config import distinct_betons
from ffcv_hydra.building.data import build_datamodule
from ffcv_hydra.building.targets import check_targets, locate
from ffcv_hydra.cli.commands import resolve
from ffcv_hydra.cli.schema import ConvertConfig, RunConfig, check, check_trainer
from ffcv_hydra.errors import ConfigError
from ffcv_hydra.loader import Loader

CONF = Path(__file__).parents[2] / "conf"
FILES = sorted(CONF.rglob("*.yaml"))
PLACES = {"dataset/field=image": "dataset/field@dataset.fields.image=image"}
"""How the command line names options that stand elsewhere in the config."""
OPTIONS = sorted(
    f"{path.parent.relative_to(CONF)}={path.stem}"
    for path in FILES
    if path.parent not in (CONF, CONF / "hydra" / "help")
)
NEEDED = {
    "model=keypoints": ["model.num_points=2"],
    "model=custom": ["model._target_=ffcv_hydra.models.AutoEncoder"],
    "dataset=image_folder": ["dataset.root=tests"],
    "experiment=imagenet_rn18": ["dataset.root=tests"],
    "experiment=imagenet_rn50": ["dataset.root=tests"],
    "dataset=custom": ["dataset.source._target_=ffcv_hydra.datasets.ToyImages"],
    "dataset=coco": ["dataset.root=tests", "dataset.num_classes=2"],
    "dataset=yolo": ["dataset.root=tests", "dataset.num_classes=2"],
    "dataset=voc": ["dataset.root=tests"],
    "dataset=segmentation_folder": ["dataset.root=tests", "dataset.classes=[ground,road]"],
    "dataset=mixture": ["dataset.members={a: {dataset: digits, share: 1}, b: {dataset: toy, share: [1, 0]}}"],
    "ordering=weighted": ["ordering.train.weights=label"],
    "pipeline=imagenet_cutmix": ["dataset.num_classes=10"],
    **{option: ["hparams_search=optuna"] for option in OPTIONS if option.startswith("hydra/sweeper/sampler=")},
    "dataset=webdataset": ["dataset.train_shards=train-*.tar", "dataset.val_shards=val.tar"],
}
FINGERPRINTS = {
    "cifar10": ["7131746b", "f960cd95"],
    "digit_scenes": ["e5674047", "54781e9a", "cdf9a386"],
    "digits": ["89ae2620", "ff275911", "a4fea1ae"],
    "toy": ["c4f742fb"],
    "webdataset": ["f48d9081", "316dff1b"],
}
"""How those begin that betons hold: another one would have them all converted again."""


def composed(name: str, *overrides: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The resolved config and the chosen options."""
    placed = [
        PLACES.get(text, re.sub("^dataset/field=", "+dataset/field@dataset.fields.more=", text)) for text in overrides
    ]
    with initialize_config_module("ffcv_hydra.conf", version_base="1.3"):
        config = compose(name, placed, return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    choices = dict(config.hydra.runtime.choices)
    OmegaConf.set_readonly(config.hydra, None)
    task = config.copy()
    with open_dict(task):
        del task["hydra"]
    return resolve(task), choices


@pytest.fixture(autouse=True)
def _forget_hydra():
    yield
    HydraConfig.instance().cfg = None


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CONF)))
def test_file_says_in_its_first_comment_what_it_is(path):
    comments = [line for line in path.read_text().splitlines()[:2] if line.startswith("# ") and "@package" not in line]
    assert len(comments) == 1
    assert len(comments[0].split()) > 2


@pytest.mark.timeout(300)
@pytest.mark.parametrize("option", OPTIONS)
def test_option_composes_and_what_it_says_of_data_can_be_built(option):
    config, _ = composed("run", option, *NEEDED.get(option, []))
    check(RunConfig, config)
    check_targets(config)
    check_trainer(config["trainer"])
    for mode in ("fit", "predict"):
        build_datamodule({**config, "mode": mode})  # pipelines, orderings, indices and the loader's options; no file


@pytest.mark.parametrize("dataset", [option for option in OPTIONS if option.startswith("dataset=")])
def test_convert_composes_with_every_dataset(dataset):
    config, _ = composed("convert", dataset, *NEEDED.get(dataset, []))
    check(ConvertConfig, config)


def test_dataset_brings_its_pipeline_and_the_user_has_the_last_word():
    assert composed("run")[1]["pipeline"] == "image"
    assert composed("run", "dataset=digits")[1]["pipeline"] == "digits"
    assert composed("run", "experiment=digits")[1]["pipeline"] == "digits"
    assert composed("run", "pipeline=randcrop")[1]["pipeline"] == "randcrop"
    assert composed("run", "experiment=digits", "dataset=toy")[1]["dataset"] == "toy"


def test_trainer_lists_all_arguments_but_callbacks_and_logger():
    trainer = OmegaConf.to_container(OmegaConf.load(CONF / "trainer" / "default.yaml"))
    assert isinstance(trainer, dict)
    parameters = inspect.signature(locate("pytorch_lightning.Trainer", "trainer")).parameters
    assert set(trainer) - {"_target_"} == set(parameters) - {"callbacks", "logger"}


@pytest.mark.parametrize("dataset", [option for option in OPTIONS if option.startswith("dataset=")])
def test_image_options_are_those_of_the_field(dataset):
    fields = composed("convert", dataset, *NEEDED.get(dataset, []))[0]["dataset"]["fields"] or {}
    parameters = inspect.signature(RandomAccessImageField).parameters
    defaults = {name: parameter.default for name, parameter in parameters.items() if name != "write_mode"}
    for image in (field for name, field in fields.items() if name == "image" and "_target_" not in field):
        assert {name: value for name, value in image.items() if name != "write_mode"} == defaults
        assert image["write_mode"] in WRITE_MODES


@pytest.mark.parametrize("dataset", sorted(FINGERPRINTS))
def test_betons_of_a_shipped_dataset_stay_known_by_their_fingerprints(dataset):
    config, _ = composed("convert", f"dataset={dataset}", *NEEDED.get(f"dataset={dataset}", []))
    betons = distinct_betons(config)
    assert [fingerprint(beton.description)[:8] for beton in betons] == FINGERPRINTS[dataset]


def test_overrides_of_what_defaults_lists_bring_need_no_plus():
    config, _ = composed(
        "run", "dataset.fields.image.max_resolution=256", "pipeline=randcrop", "pipeline.train.image.1.p=1",
        "pipeline.to_tensor.2.dtype=float16",
    )  # fmt: skip
    assert config["dataset"]["fields"]["image"]["max_resolution"] == 256
    train, val = config["pipeline"]["train"]["image"], config["pipeline"]["val"]["image"]
    assert train[1]["p"] == 1
    assert train[-1] == val[-1] == {"_target_": "ffcv_hydra.operations.DivideImage255", "dtype": "float16"}


def test_what_pipelines_end_with_is_a_choice():
    crop, *rest = composed("run", "pipeline/to_tensor=imagenet")[0]["pipeline"]["val"]["image"]
    assert rest == composed("run", "pipeline=imagenet")[0]["pipeline"]["val"]["image"][1:]
    assert composed("run", "pipeline.to_tensor=[]")[0]["pipeline"]["val"]["image"] == [crop]


def test_lists_among_an_operations_arguments_stay_as_they_are():
    crop = "{_target_: torchvision.transforms.v2.RandomCrop, size: 8}"
    some = f"{{_target_: torchvision.transforms.v2.RandomApply, _args_: [[{crop}, {crop}]], p: 0.3}}"
    config, _ = composed("run", f"pipeline.train.image=[[{some}], []]")
    (apply,) = config["pipeline"]["train"]["image"]
    assert len(apply["_args_"]) == 1 and len(apply["_args_"][0]) == 2


@pytest.mark.parametrize("dataset", ["image_folder", "custom"])
@pytest.mark.parametrize(
    ("fractions", "splits"),
    [
        ([], ["train", "val"]),
        (["test=0.1"], ["train", "val", "test"]),
        (["train=0.7", "test=null"], ["train", "val", "test"]),
        (["val=0", "test=0.1"], ["train", "test"]),
        (["val=0"], ["train"]),
    ],
)
def test_F2_a_dataset_has_the_splits_that_have_a_fraction(dataset, fractions, splits):
    options = [f"dataset.fractions.{fraction}" for fraction in fractions]
    found = composed("run", f"dataset={dataset}", *NEEDED[f"dataset={dataset}"], *options)[0]["dataset"]["splits"]
    predicted = found.pop("predict")
    assert [name for name, split in found.items() if split is not None] == splits
    assert predicted == (found["test"] or found["val"])
    for split in splits:
        node = found[split]["indices" if dataset == "custom" else "source"]
        assert node["split"] == split and list(node["fractions"]) == splits


def test_F2_the_fractions_of_a_folder_are_those_of_its_class():
    from ffcv_hydra.datasets.image_folder import DEFAULT_FRACTIONS
    from ffcv_hydra.datasets.split_fraction import fill_fractions

    for dataset in ("image_folder", "custom"):
        assert fill_fractions(OmegaConf.load(CONF / "dataset" / f"{dataset}.yaml").fractions) == DEFAULT_FRACTIONS


def test_F2_two_open_fractions_are_refused():
    with pytest.raises(ConfigError, match="train and test are null; only one can have what others leave"):
        composed("run", "dataset=custom", *NEEDED["dataset=custom"], "dataset.fractions.test=null")


def ramp(side: int) -> np.ndarray:
    """An image whose columns grow by 5 levels each."""
    return np.repeat(np.broadcast_to(np.arange(side, dtype=np.uint8) * 5, (side, side))[..., None], 3, axis=2).copy()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("recipe", ["cifar", "digits", "randcrop", "segmentation", "two_views"])
def test_a_recipe_enlarges_crops_without_squares(recipe, tmp_path):
    sizes = ["pipeline.size=[48,48]"] if recipe in ("segmentation", "two_views") else []
    train = composed("run", f"pipeline={recipe}", *sizes)[0]["pipeline"]["train"]
    node = train["views"]["operations"] if recipe == "two_views" else train["image"]
    decoder = instantiate(node[0])
    side = node[0]["size"][0]
    write_beton([(ramp(side),)] * 16, tmp_path / "ramps.beton", {"image": RGBImageField("raw")}, num_workers=0)
    (images,) = next(iter(Loader(tmp_path / "ramps.beton", 16, pipelines={"image": [decoder]}, num_workers=1)))
    steps = np.diff(np.asarray(images)[..., 0].astype(int), axis=2)[:, :, 1:-1]
    assert np.ptp(steps, axis=2).max() <= 2  # even, as the ramp is


def test_changing_one_stage_of_a_pipeline_leaves_the_others():
    config, _ = composed("run", "pipeline.test.image=disabled")
    assert config["pipeline"]["test"]["image"] == "disabled"
    assert isinstance(config["pipeline"]["val"]["image"], list)


def test_slurm_takes_nodes_and_tasks_from_the_environment(monkeypatch):
    monkeypatch.setenv("SLURM_NNODES", "3")
    monkeypatch.setenv("SLURM_NTASKS_PER_NODE", "4")
    trainer = composed("run", "trainer=slurm")[0]["trainer"]
    assert (trainer["num_nodes"], trainer["devices"]) == (3, 4)


def test_own_project_builds_on_the_groups(tmp_path, monkeypatch):
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "mine.yaml").write_text((CONF / "dataset" / "toy.yaml").read_text().replace("toy", "mine"))
    (tmp_path / "project.yaml").write_text(
        "defaults:\n  - run\n  - override dataset: mine\n  - _self_\n"
        "hydra:\n  searchpath: [pkg://ffcv_hydra.conf]\nseed: 7\n"
    )
    from hydra import initialize_config_dir

    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        config = compose("project", ["model=classifier"])
    assert (config.seed, config.dataset.name) == (7, "mine")
