"""`python -m bench speed` and `python -m bench scale`; see docs/performance.md."""

import argparse
import sys

from bench import page, scale, scale_report, speed, speed_report
from bench.processes import load_average
from bench.token_provider import NoCompiler

SIZES = (10_000, 100_000, 1_000_000)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("what", choices=["speed", "scale"])
    parser.add_argument("--rounds", type=int, default=5, help="how often each subject of `speed` is measured")
    parser.add_argument("--most", type=int, default=SIZES[-1], help="the greatest number of credentials of `scale`")
    arguments = parser.parse_args()
    if sys.platform != "linux":
        print("bench: Linux only, it reads /proc", file=sys.stderr)
        return 2
    try:
        text = _speed(arguments.rounds) if arguments.what == "speed" else _scale(arguments.most)
    except NoCompiler as exc:
        print(f"bench: {exc}", file=sys.stderr)
        return 1
    print(f"\n{text}\nwritten to docs/performance.md")
    return 0


def _speed(rounds: int) -> str:
    text = speed_report.report(speed.run(rounds), f"make bench ROUNDS={rounds}")
    page.write("Speed", text)
    return text


def _scale(most: int) -> str:
    """The page is written after each size, so that what was measured is not lost with what comes after it."""
    load, runs, text = load_average(), [], ""
    for size in [*(size for size in SIZES if size < most), most]:
        runs.append(scale.run(size))
        text = scale_report.report(runs, f"make bench-scale N={size}", load=load)
        page.write("Scale", text)
    return text


if __name__ == "__main__":
    raise SystemExit(main())
