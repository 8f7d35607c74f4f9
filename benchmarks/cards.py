"""Peak rates of cards and prices of their instances: the arithmetic of `make bench-gpu`."""

from dataclasses import dataclass

from contracts.models import ModelFacts
from contracts.pricing import INSTANCES, SECONDS_AN_HOUR

PEAKS: dict[str, float] = {
    "H200": 989, "H100 NVL": 835, "H100 PCIe": 756, "H100": 989, "A100": 312, "A10G": 70,
    "L40S": 362, "L4": 121, "T4": 65, "V100": 125,
}  # fmt: skip
"""By part of the device's name (the longest match counts): dense float16 tensor TFLOP/s of NVIDIA's
datasheets (sparse figures halved); bfloat16 is as fast on cards that have it.
https://www.nvidia.com/en-us/data-center/ h200, h100, a100, l40s, l4, tesla-t4, v100;
https://d1.awsstatic.com/product-marketing/ec2/NVIDIA_AWS_A10G_DataSheet_FINAL_02_17_2022.pdf"""

PRICED = {"T4": "g4dn.xlarge", "A10G": "g5.xlarge", "L4": "g6.xlarge"}
FILM_RATE = 24
"""Frames a second of the film whose minutes are priced."""


def peak_tflops(device: str) -> float | None:
    """Return a device's peak rate; None for one that is not listed, such as a processor."""
    fitting = [name for name in PEAKS if name in device]
    return PEAKS[max(fitting, key=len)] if fitting else None


def frame_flops(model: ModelFacts, width: int, height: int) -> float:
    """Count the operations of one picture; width and height are the source's."""
    return model.flop_per_pixel * width * height


def share_of_peak(
    device: str, frames_per_second: float, *, model: ModelFacts, size: tuple[int, int]
) -> float | None:
    """Return the share of the device's peak that a rate is; None if the peak is unknown."""
    peak = peak_tflops(device)
    return frames_per_second * frame_flops(model, *size) / (peak * 1e12) if peak else None


@dataclass(frozen=True)
class CardPrice:
    """Rate and price of another card at the same share of its own peak, by arithmetic."""

    card: str
    frames_per_second: float
    dollars_per_minute: float
    """For film of FILM_RATE frames a second, on demand, the GPU busy throughout."""


def prices(share: float, model: ModelFacts, size: tuple[int, int]) -> list[CardPrice]:
    """Price a minute of film on the cards of AWS's small instances."""
    found = []
    for card, instance in PRICED.items():
        rate = share * PEAKS[card] * 1e12 / frame_flops(model, *size)
        seconds = 60 * FILM_RATE / rate
        dollars = seconds / SECONDS_AN_HOUR * INSTANCES[instance].dollars_per_hour
        found.append(CardPrice(card, rate, dollars))
    return found
