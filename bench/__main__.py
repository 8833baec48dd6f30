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
    load = load_average()
    try:
        if arguments.what == "speed":
            text = speed_report.report(speed.run(arguments.rounds), f"make bench ROUNDS={arguments.rounds}")
            title = "Speed"
        else:
            sizes = [size for size in SIZES if size < arguments.most] + [arguments.most]
            text = scale_report.report(
                [scale.run(size) for size in sizes], f"make bench-scale N={arguments.most}", load=load
            )
            title = "Scale"
    except NoCompiler as exc:
        print(f"bench: {exc}", file=sys.stderr)
        return 1
    page.write(title, text)
    print(f"\n{text}\nwritten to docs/performance.md")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
