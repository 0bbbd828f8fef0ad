"""Several betons as one: to a user the same as one beton."""

from ffcv_hydra.collection.index import Index as Index
from ffcv_hydra.collection.index import ShardEntry as ShardEntry
from ffcv_hydra.collection.index import is_sharded as is_sharded
from ffcv_hydra.collection.index import read_index as read_index
from ffcv_hydra.collection.index import write_index as write_index
from ffcv_hydra.collection.writing import write_sharded_beton as write_sharded_beton
