"""Limits set by AWS (each with the page it comes from) and by us."""

# https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
STATE_PAYLOAD_BYTES = 262_144
EXECUTION_NAME_CHARS = 80
# https://docs.aws.amazon.com/step-functions/latest/apireference/API_SendTaskSuccess.html
TASK_TOKEN_CHARS = 2_048
# https://docs.aws.amazon.com/step-functions/latest/apireference/API_SendTaskFailure.html
TASK_ERROR_CHARS = 256
TASK_CAUSE_CHARS = 32_768
# https://docs.aws.amazon.com/batch/latest/userguide/service_limits.html
BATCH_ARRAY_MIN = 2
BATCH_ARRAY_MAX = 10_000
BATCH_JOB_NAME_CHARS = 128
BATCH_CONTAINER_OVERRIDES_CHARS = 8_192
BATCH_ATTEMPTS_MAX = 10
BATCH_EXIT_RULES_MAX = 5
BATCH_DESCRIBE_JOBS_MAX = 100
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
S3_KEY_BYTES = 1_024
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
S3_USER_METADATA_BYTES = 2_048
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
S3_PUT_BYTES = 5 * 1024**3

# Ours. The most that `damage: conceal` accepts: a share of a film's frames (at least one frame),
# and a number of frames.
DAMAGED_SHARE_MAX = 0.1
DAMAGED_FRAMES_MAX = 10_000
# Every worker reads a user's model whole.
MODEL_BYTES_MAX = 2 * 1024**3
# A shard is the unit of work, of retry and of loss.
SHARD_SECONDS_DEFAULT = 10.0
SHARD_SECONDS_MIN = 0.04
SHARD_SECONDS_MAX = 60.0
RUN_SECONDS_TARGET = 180.0
# https://docs.nvidia.com/video-technologies/video-codec-sdk/13.0/nvenc-application-note/index.html
NVENC_MAX_SIDE = {"h264": 4_096, "hevc": 8_192, "av1": 8_192}
NVENC_MIN_SIDES = (192, 128)
"""Width and height that every codec takes on every card we use; AV1 needs the most."""
H264_MAX_SIDE = 4_096
"""Side length above which H.264 levels and most decoders give up (level 5.2, ITU-T H.264 A.3)."""
LEVEL_MAX = {"hevc": (35_651_584, 16_888, 16_888), "av1": (35_651_584, 16_384, 8_704)}
"""Most pixels, width and height, by codec, at its highest level: 6.2 of ITU-T H.265 A.4.1, where a
side is at most the root of eight times the pixels; 6.3 of AV1's bitstream specification, A.3.
"""
