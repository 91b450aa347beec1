"""Logs that do not fit into memory: a folder of Parquet shards, which training reads one after another."""

from vaerec.shards.batches import ShardBatches
from vaerec.shards.from_files import from_files
from vaerec.shards.large_world import make_large_world
from vaerec.shards.storage import Shards, is_folder, read, write, write_stream

__all__ = ["ShardBatches", "Shards", "from_files", "is_folder", "make_large_world", "read", "write",
           "write_stream"]
