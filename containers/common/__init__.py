"""What both images need: the worker's frame, S3 transfers, decoding by allow-list."""
