"""Settings that the jobs themselves read: what the plan counts on, and what a film may cost."""

from typing import Literal

from pydantic import Field

from contracts.base import Contract


class WorkerSettings(Contract):
    model_dir: str = "/opt/superres/weights"
    progress_seconds: float = Field(default=2.0, gt=0)
    worker_gflops: float = Field(default=8000.0, gt=0)
    inference_threads: int = Field(default=4, ge=1)
    inference_dtype: Literal["float32", "float16", "bfloat16"] = "float16"
    encoder_threads: int = Field(default=4, ge=1)
    max_source_bytes: int = Field(default=200 * 1024**3, gt=0)
    max_frame_pixels: int = Field(default=4096 * 2304, gt=0)
    max_output_pixels: int = Field(default=8192 * 4608, gt=0)
    max_frames: int = Field(default=1_000_000, gt=0)
    max_duration_seconds: float = Field(default=6 * 3600.0, gt=0)
    max_streams: int = Field(default=64, gt=0)
