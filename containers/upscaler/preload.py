"""Imports everything that a worker with a network imports, ahead of a job that is expected."""

import importlib

from containers.upscaler.host.malloc import keep_large_blocks

MODULES = (
    "boto3",
    "containers.upscaler.models.engines.ncnn_engine",
    "containers.upscaler.models.network_upscaler",
    "containers.upscaler.worker",
)

keep_large_blocks()  # before torch is imported
for _module in MODULES:
    importlib.import_module(_module)
