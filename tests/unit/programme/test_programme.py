"""The frame of the long programmes: a run that shows nothing fails, and several runs add up on one page."""

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import pytest

from tests.programme.__main__ import main
from tests.programme.page import Row, record
from tests.programme.programme import Limits, Report, per_thousand

AT = datetime(2026, 6, 1, 12, 30, tzinfo=UTC)
COMMAND = "make fuzz N=1000 SEED=7 MINUTES=5"


def report(
    *,
    name: str = "fuzz",
    n: int = 1000,
    counts: Mapping[str, int] | None = None,
    violations: Sequence[str] = (),
    minima: Mapping[str, int] | None = None,
    seconds: float = 61.4,
) -> Report:
    counts = {"kills": 1000, "lost on the way": 3} if counts is None else counts
    return Report(
        name=name, n=n, seed=7, seconds=seconds, counts=counts, violations=violations, minima=minima or {"kills": 1000}
    )


class TestReport:
    """0 lost of nothing is nothing."""

    def test_a_run_in_which_everything_happened_and_held_is_a_success(self) -> None:
        """The other tests fail for their own reason."""
        assert [] == report().failures()

    @pytest.mark.parametrize("counts", [{"kills": 999}, {"kills": 0}, {}, {"killed": 1000}])
    def test_a_run_without_its_dangerous_case_fails(self, counts: Mapping[str, int]) -> None:
        """One below the minimum, none at all, or not even counted under that name."""
        [failure] = report(counts=counts).failures()
        assert failure.startswith("too rare: kills")

    def test_a_violation_fails_however_much_was_run(self) -> None:
        """The text is told as it is, with what is needed to repeat it."""
        assert ["SEED=7 index 3: lost"] == report(violations=["SEED=7 index 3: lost"]).failures()

    def test_a_run_of_nothing_fails(self) -> None:
        """Not even without any minimum."""
        assert ["nothing was run"] == report(n=0, minima={"kills": 0}).failures()

    @pytest.mark.parametrize(("n", "expected"), [(1000, 5), (1_000_000, 5000), (399, 1), (100, 0)])
    def test_minima_grow_with_the_run(self, n: int, expected: int) -> None:
        """A minimum of 5 in 1,000 asks for 5,000 of a million, and nothing of a run that is too short for one."""
        assert {"cuts": expected} == per_thousand(n, {"cuts": 5})

    def test_the_line_for_people_has_the_seed_and_every_count(self) -> None:
        """A run that failed can be repeated from it."""
        line = report(violations=["x"]).line()
        assert all(part in line for part in ("SEED=7", "N=1,000", "1 violations", "kills 1,000", "lost on the way 3"))


class TestLimits:
    """A run ends at the first of three ends."""

    def test_it_goes_on_within_all_limits(self) -> None:
        """Otherwise it would never begin."""
        assert Limits(10, 1, 60).going(9)

    @pytest.mark.parametrize(("done", "seconds"), [(10, 60), (0, 0)])
    def test_it_ends_with_its_cases_and_with_its_time(self, done: int, seconds: float) -> None:
        """Whichever comes first."""
        assert not Limits(10, 1, seconds).going(done)

    def test_it_ends_when_it_is_told_to(self) -> None:
        """Ctrl-C ends a run with what it has reached."""
        limits = Limits(10, 1, 60)
        limits.stop.set()
        assert not limits.going(0)


class TestPage:
    """docs/reliability.md: one table for each programme, one row for each run, and their sum."""

    def test_the_first_run_makes_the_page(self, tmp_path: Path) -> None:
        """Introduction, heading, what it is about, and a table of one row and its sum."""
        page = tmp_path / "reliability.md"
        record(report(), COMMAND, about="Kills.", page=page, at=AT)
        expected = """
## fuzz

Kills.

| date (UTC) | command | N | seed | duration | counts | violations |
| --- | --- | --: | --: | --: | --- | --- |
| 2026-06-01 12:30 | `make fuzz N=1000 SEED=7 MINUTES=5` | 1,000 | 7 | 0:01:01 | kills 1,000; lost on the way 3 | 0 |
| *together* | 1 run | 1,000 |  | 0:01:01 | kills 1,000; lost on the way 3 | 0 |
"""
        text = page.read_text()
        assert text.startswith("# ")
        assert text.endswith(expected)

    def test_runs_add_up(self, tmp_path: Path) -> None:
        """Cases, time, counts (also those that one run alone has) and violations; the seeds do not."""
        page = tmp_path / "reliability.md"
        record(report(), COMMAND, page=page, at=AT)
        record(report(n=5, counts={"kills": 5, "new": 1}, violations=["x", "y"]), COMMAND, page=page, at=AT)
        record(report(seconds=100_000), COMMAND, page=page, at=AT)
        last = page.read_text().splitlines()[-1]
        assert "| *together* | 3 runs | 2,005 |  | 1 day, 3:48:42 | kills 2,005; lost on the way 6; new 1 | 2 |" == last
        assert 1 == page.read_text().count("| *together* |")

    def test_a_run_that_fell_short_says_of_what(self, tmp_path: Path) -> None:
        """It stays on the page, and its row does not look like a success; the sum stays a number."""
        page = tmp_path / "reliability.md"
        record(report(counts={"kills": 3}), COMMAND, page=page, at=AT)
        record(report(), COMMAND, page=page, at=AT)
        *_, first, second, together = page.read_text().splitlines()
        assert first.endswith("| kills 3 | 0; too rare: kills |")
        assert second.endswith("| 0 |")
        assert together.endswith("| kills 1,003; lost on the way 3 | 0 |")

    def test_programmes_keep_apart_and_prose_stays(self, tmp_path: Path) -> None:
        """A row goes into its own table; what people wrote around the tables is not touched."""
        page = tmp_path / "reliability.md"
        record(report(), COMMAND, page=page, at=AT)
        record(report(name="crash"), "make crash N=1", page=page, at=AT)
        page.write_text(page.read_text().replace("\n## crash", "\nA remark on fuzz.\n\n## crash") + "\nThe end.\n")
        record(report(), COMMAND, page=page, at=AT)
        fuzz, _, crash = page.read_text().partition("## crash")
        assert (2, 1) == (fuzz.count(COMMAND), crash.count("make crash N=1"))
        assert fuzz.endswith("\n\nA remark on fuzz.\n\n")
        assert crash.endswith("\n\nThe end.\n")

    def test_the_format_repeats_itself(self) -> None:
        """A row that is read and written again is the same row, so that no run changes another's."""
        for one in (
            report(),
            report(counts={}, violations=["x"] * 1234, minima={"kills": 1}),
            report(counts={"a-b c": 1_000_000}, seconds=400_000.6),
        ):
            line = Row.of(one, COMMAND, AT).line()
            assert line == Row.read(line).line()

    def test_a_second_run_changes_no_line_of_the_first(self, tmp_path: Path) -> None:
        """The page only grows; the sum alone is written anew."""
        page = tmp_path / "reliability.md"
        record(report(), COMMAND, page=page, at=AT)
        before = page.read_text().splitlines()
        record(report(n=7), COMMAND, page=page, at=AT + timedelta(days=1))
        after = page.read_text().splitlines()
        assert before[:-1] == after[: len(before) - 1]
        assert len(before) + 1 == len(after)


class TestMain:
    """`python -m tests.programme`: the seed first, the verdict last, as exit code too."""

    ARGUMENTS = ("fuzz", "--n", "1000", "--minutes", "5")

    def test_a_success_is_0_and_a_failure_1(self) -> None:
        """`make` stops on it."""
        assert 0 == main([*self.ARGUMENTS, "--seed", "7"], programmes=lambda _: programme(report()))
        assert 1 == main([*self.ARGUMENTS, "--seed", "7"], programmes=lambda _: programme(report(counts={})))

    def test_the_seed_is_told_before_anything_is_run(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Even a run that never ends can be repeated."""
        told: list[str] = []

        def run(_limits: Limits) -> Report:
            told.append(capsys.readouterr().out)
            return report()

        main([*self.ARGUMENTS, "--seed", "7"], programmes=lambda _: programme(run))
        assert [f"{COMMAND}\n"] == told

    @pytest.mark.parametrize(("asked", "given"), [((), 3), (("--replicas", "5"), 5)])
    def test_how_many_replicas_is_told_and_recorded(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], asked: tuple[str, ...], given: int
    ) -> None:
        """Also when it is the programme's own number: a figure on two replicas says nothing of five."""
        page, started = tmp_path / "reliability.md", []

        def run(limits: Limits) -> Report:
            started.append(limits.replicas)
            return report()

        module = programme(run)
        vars(module)["REPLICAS"] = 3
        main(
            [*self.ARGUMENTS, "--seed", "7", *asked, "--page", str(page), "--record"],
            programmes=lambda _: module,
        )
        assert [given] == started
        assert f"`{COMMAND} REPLICAS={given}`" in page.read_text()
        assert capsys.readouterr().out.startswith(f"{COMMAND} REPLICAS={given}\n")

    @pytest.mark.parametrize(("number", "default"), [("5", 0), ("-1", 3)])
    def test_replicas_that_cannot_be_had_are_refused(self, number: str, default: int) -> None:
        """Nothing is recorded of a run that was another than it was asked to be."""
        module = programme(report())
        vars(module)["REPLICAS"] = default
        with pytest.raises(SystemExit, match="replicas"):
            main([*self.ARGUMENTS, "--replicas", number], programmes=lambda _: module)

    def test_the_size_of_a_world_is_given_and_told(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A thousand credentials for two months is another run than forty for a day."""
        sizes = []

        def run(limits: Limits) -> Report:
            sizes.append((limits.credentials, limits.days))
            return report()

        main(
            ["simulate", *self.ARGUMENTS[1:], "--credentials", "1000", "--days", "2.5"],
            programmes=lambda _: programme(run),
        )
        assert [(1000, 2.5)] == sizes
        assert "CREDENTIALS=1000 DAYS=2.5\n" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("name", "size"), [("simulate", ("--days", "2")), ("fuzz", ("--credentials", "3", "--days", "2"))]
    )
    def test_half_a_size_or_one_that_nothing_has_is_refused(self, name: str, size: tuple[str, ...]) -> None:
        """As for replicas."""
        with pytest.raises(SystemExit):
            main([name, *self.ARGUMENTS[1:], *size], programmes=lambda _: programme(report()))

    def test_without_a_seed_one_is_drawn(self) -> None:
        """So that runs add up to more cases, not to more of the same."""
        seeds: set[int] = set()

        def run(limits: Limits) -> Report:
            seeds.add(limits.seed)
            return report()

        for _ in range(3):
            main(self.ARGUMENTS, programmes=lambda _: programme(run))
        assert len(seeds) > 1

    def test_only_a_recorded_run_is_recorded(self, tmp_path: Path) -> None:
        """With the command that repeats it, and the first line of the programme's docstring."""
        page = tmp_path / "reliability.md"
        main([*self.ARGUMENTS, "--seed", "7", "--page", str(page)], programmes=lambda _: programme(report()))
        assert not page.exists()
        main(
            [*self.ARGUMENTS, "--seed", "7", "--page", str(page), "--record"], programmes=lambda _: programme(report())
        )
        assert COMMAND in page.read_text()
        assert "\nKills at random.\n" in page.read_text()

    def test_ctrl_c_ends_a_run_with_what_it_has_reached(self) -> None:
        """The first one is heard by the programme; afterwards Ctrl-C is what it was."""
        before = signal.getsignal(signal.SIGINT)

        def run(limits: Limits) -> Report:
            assert limits.going(0)
            os.kill(os.getpid(), signal.SIGINT)
            assert not limits.going(0)
            return report()

        assert 0 == main([*self.ARGUMENTS], programmes=lambda _: programme(run))
        assert before == signal.getsignal(signal.SIGINT)


def programme(run: Report | Callable[[Limits], Report]) -> ModuleType:
    """A programme's module."""
    module = ModuleType("programme", "Kills at random.\n\nMore of it.")
    vars(module)["run"] = run if callable(run) else lambda _limits: run
    return module
