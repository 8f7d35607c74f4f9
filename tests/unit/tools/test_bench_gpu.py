"""`make bench-gpu`: its arithmetic, its text, and its code on a processor."""

import json

import pytest

from benchmarks import cards, gpu
from benchmarks.gpu_rates import MODEL, SINK, Rate, RateSetup
from containers.upscaler.models.engines.execution import ExecutionMode
from contracts.models import CATALOGUE, ModelName

pytestmark = pytest.mark.slow

COMPACT = CATALOGUE[ModelName.ANIMEVIDEOV3]


@pytest.mark.parametrize(
    ("device", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989), ("NVIDIA H100 PCIe", 756), ("NVIDIA A10G", 70),
        ("NVIDIA L4", 121), ("NVIDIA L40S", 362), ("Tesla T4", 65), ("cpu", None),
    ],
)  # fmt: skip
def test_a_cards_peak_is_found_by_its_name(device: str, peak: float | None) -> None:
    assert cards.peak_tflops(device) == peak


def test_a_share_of_the_peak_is_operations_over_the_cards_own() -> None:
    assert cards.share_of_peak("Tesla T4", 57, model=COMPACT, size=(1280, 720)) == pytest.approx(
        1.0, abs=0.01
    )
    assert cards.share_of_peak("cpu", 57, model=COMPACT, size=(1280, 720)) is None


def test_money_is_time_at_the_same_share_of_another_cards_peak() -> None:
    found = {price.card: price for price in cards.prices(0.5, COMPACT, (1280, 720))}
    assert found.keys() == {"T4", "A10G", "L4"}
    t4 = found["T4"]
    assert t4.frames_per_second == pytest.approx(57 / 2, abs=0.2)
    assert t4.dollars_per_minute == pytest.approx(60 * 24 / 28.5 / 3600 * 0.526, rel=0.01)


def rate(what: str, fps: float, execution: ExecutionMode = ExecutionMode.GRAPHS) -> Rate:
    setup = RateSetup(ModelName.ANIMEVIDEOV3, 1280, 720, "float16", 4, "cuda")
    rounds = (fps - 1, fps, fps + 5)
    return Rate(what, setup, execution, "NVIDIA H100 80GB HBM3", rounds, "device", 0.9, 0.95)


def test_goals_and_prices_come_from_the_fastest_rates() -> None:
    rates = [
        rate(MODEL, 240, ExecutionMode.EAGER), rate(MODEL, 300),
        rate(MODEL, 400, ExecutionMode.COMPILED),
        rate(SINK, 240), rate("with h264_nvenc", 200),
    ]  # fmt: skip
    text = gpu.rates_text(rates, goals=True)
    assert "animevideov3 720p, model alone: 300.0; goal on an H100 250: reached." in text
    assert "model alone, compiled: 400.0; goal on an H100 390: reached." in text
    assert "model alone, compiled (stretch): 400.0; goal on an H100 520: not reached." in text
    assert "into the null sink, % of the model: 80.0; goal on an H100 90: not reached." in text
    assert "with h264_nvenc, % of the slowest stage: 95.0; goal on an H100 90: reached." in text
    assert "| 300.00 | 299.00 to 305.00 | 35 % | device | 90 % | 95 % |" in text
    assert "By arithmetic, not measured" in text


def test_a_gpu_is_measured_in_both_narrow_formats_and_compiled_too() -> None:
    planned = gpu.plan_measurement("cuda", quick=False)
    assert planned.dtypes == ("float16", "bfloat16")
    assert set(planned.modes) == set(ExecutionMode)
    assert (ModelName.ANIMEVIDEOV3, 1920, 1080) in planned.cases


def test_the_same_code_runs_on_a_processor(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["gpu", "--device", "cpu", "--quick", "--json"])
    gpu.main()
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {(row["what"], row["execution"], row["batch"]) for row in rows} == {
        *((MODEL, run, batch) for run in ("eager", "graphs") for batch in (1, 2)),
        *((what, "eager", rows[-1]["batch"]) for what in (SINK, "with libx264 veryfast")),
    }
    for row in rows:
        assert row["fps"] > 0
        assert (row["device_name"], row["share_of_peak"]) == ("cpu", None)
        assert row["bound_by"] in ("device", "encoder", "host's part of inference")


@pytest.mark.gpu
def test_the_quick_form_runs_on_a_gpu(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["gpu", "--quick", "--json"])
    gpu.main()
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["dtype"] for row in rows} == {"float16", "bfloat16"}


def test_without_a_gpu_the_command_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("sys.argv", ["gpu"])
    with pytest.raises(SystemExit, match="add --device cpu --quick"):
        gpu.main()
