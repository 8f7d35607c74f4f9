"""Settings that the jobs themselves read: what the plan is made from, and what a film may cost."""

from typing import Literal

from pydantic import Field

from components.settings.reading import SettingsPart


class WorkerSettings(SettingsPart):
    model_dir: str = "/opt/superres/weights"
    """Where the upscaler image holds the weights."""
    progress_seconds: float = Field(default=2.0, gt=0)
    """Seconds between two progress reports of a worker."""
    worker_gflops: float = Field(default=8000.0, gt=0)
    """Measured throughput of a worker, in 1e9 operations a second; the plan is made from it."""
    inference_threads: int = Field(default=4, ge=1)
    """Threads of inference, in a worker without a GPU."""
    inference_dtype: Literal["float32", "float16", "bfloat16"] = "float16"
    """Number format of inference; float16 is for workers with a GPU only."""
    inference_engine: Literal["torch", "ncnn"] = "torch"
    """What runs the networks; ncnn is for workers without a GPU, and faster there."""
    inference_batch: int = Field(default=4, ge=1, le=64)
    """Frames that a network computes at once, if they fit into memory; CPUs gain nothing from more
    than 1."""
    inference_memory_mib: int = Field(default=12 * 1024, gt=0)
    """Memory that inference may take, on the GPU if there is one; it decides the tiles."""
    encoder_threads: int = Field(default=4, ge=1)
    """Threads of the encoder in a worker; they decide the bytes of a shard."""
    decode_memory_mib: int = Field(default=3072, gt=0)
    """Address space that reading a film may take, in MiB, beyond what the program itself takes."""
    decode_cpu_seconds: int = Field(default=6 * 3600, gt=0)
    """CPU time, summed over all processors, that one job may spend on reading films: on decoding
    and, at the end, on putting the result together."""
    decode_stall_seconds: float = Field(default=120.0, gt=0)
    """Seconds without a sign of life after which a decoder is stopped."""
    decode_filter: Literal["required", "off"] = "required"
    """Whether decoding requires a kernel that filters system calls; off only where it cannot."""
    video_encoders: Literal["software", "nvenc"] = "software"
    """nvenc: h264, hevc and av1 by the GPU's own encoder, where it can make the result; av1 needs
    g6. Not yet tried on a GPU. Other results, and all with software, are encoded on CPUs."""
    max_source_bytes: int = Field(default=200 * 1024**3, gt=0)
    """The largest film that is accepted, in bytes."""
    max_frame_pixels: int = Field(default=4096 * 2304, gt=0)
    """The largest frame that is accepted, in pixels."""
    max_output_pixels: int = Field(default=8192 * 4608, gt=0)
    """The largest frame that is made, in pixels."""
    max_frames: int = Field(default=1_000_000, gt=0)
    """The most frames that a film may have."""
    max_duration_seconds: float = Field(default=6 * 3600.0, gt=0)
    """The longest film that is accepted, in seconds."""
    max_streams: int = Field(default=64, gt=0)
    """The most streams that a film may have, without its attachments."""
    max_attachments: int = Field(default=256, gt=0)
    """The most attachments, such as fonts, that a film may have."""
    max_attachment_bytes: int = Field(default=256 * 1024**2, gt=0)
    """The most bytes that all attachments of a film may have."""
    max_chapters: int = Field(default=2000, gt=0)
    """The most chapters that a film may have."""
    max_extradata_bytes: int = Field(default=16 * 1024**2, gt=0)
    """The most bytes that the header of one stream may have (its codec's extradata)."""
    max_job_dollars: float = Field(default=500.0, ge=0)
    """The most that a job may cost, in US dollars by the estimate of docs/cost.md; a dearer job is
    refused before its film is decoded. 0: no limit."""
