"""The workers of AWS Batch, by image, and what both images need."""
