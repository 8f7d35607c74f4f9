"""What a job will cost by the stack's prices, compared with what it may cost."""

from dataclasses import dataclass

from containers.common.runtime.errors import WorkerError
from containers.media.extract.judge.probe import Limits
from contracts.job import Settings
from contracts.models import ModelFacts
from contracts.names import ExitCode
from contracts.planning import target_size
from contracts.pricing import FilmMeasures, Rates, film_cost, total
from contracts.stack.environ import ExtractEnvironment


@dataclass(frozen=True)
class Budget:
    """The stack's limit on a job's price, and the user's own; without either, any is allowed."""

    limits: Limits
    settings: Settings
    model: ModelFacts

    def check(self, size: tuple[int, int], frames: int, seconds: float) -> None:
        """Raise LIMIT_EXCEEDED where a film of this many frames costs more than it may.

        `size` is (width, height) of the source. BAD_REQUEST where there is a limit and the
        model's price is unknown.
        """
        limit, most = self._tightest()
        if not most:
            return
        name = self.limits.name
        if self.model.architecture is not None and not self.model.flop_per_pixel:
            raise WorkerError(
                ExitCode.BAD_REQUEST,
                f"{name} has no price, for its model's facts do not say how much "
                f"{self.model.name} computes, and there is a limit ({limit}); inspect the model "
                "again, or take the limit away",
            )
        dollars = self.dollars(size, frames, seconds)
        if dollars > most:
            raise WorkerError(
                ExitCode.LIMIT_EXCEEDED,
                f"{name} would cost about {_money(dollars)} dollars with {self.model.name} at "
                f"{self.settings.label}, the limit is {_money(most)} ({limit}); choose a smaller "
                "result or a lighter model, cut the film, or raise the limit",
            )

    def _tightest(self) -> tuple[str, float]:
        """Name and dollars of the limit that decides; 0 for none."""
        named = {
            "max_cost": self.settings.max_cost,
            "max_job_dollars": self.limits.environment.max_job_dollars,
        }
        set_ones = [(name, dollars) for name, dollars in named.items() if dollars]
        return min(set_ones, key=lambda item: item[1], default=("", 0.0))

    def dollars(self, size: tuple[int, int], frames: int, seconds: float) -> float:
        """The estimate, as `check` has it."""
        width, height = size
        seconds = max(seconds, frames / 1000, 1e-3)  # headers are silent, or say what they like
        film = FilmMeasures(
            width=width,
            height=height,
            frames_per_second=frames / seconds,
            seconds=seconds,
            bytes=self.limits.source.size,
        )
        size_after = target_size(self.settings, width, height)
        return total(film_cost(film, size_after, self.model, rates(self.limits.environment)))


def rates(environment: ExtractEnvironment) -> Rates:
    """What the stack's machines do and cost, as its jobs know it."""
    return Rates(
        worker_dollars_per_hour=environment.worker_dollars_per_hour,
        worker_gflops=environment.worker_gflops,
        media_dollars_per_hour=environment.dollars_per_hour,
        intermediate_days=environment.intermediate_days,
    )


def _money(dollars: float) -> str:
    """Cents where they matter; never more digits than an estimate has."""
    return f"{dollars:,.2f}" if dollars >= 0.1 else f"{dollars:.2g}"
