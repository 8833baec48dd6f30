"""Commands run in this process, as the installed one runs them: what they printed, and how they ended."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from typer.testing import CliRunner

from refreshd.cli.app import app
from refreshd.cli.session import Usage
from refreshd.domain.refusal import Refusal


@dataclass(frozen=True, slots=True)
class Ended:
    code: int
    stdout: str
    stderr: str


def refreshd(config: Path, *arguments: str, stdin: str = "", environ: Mapping[str, str] | None = None) -> Ended:
    """`main` without its process: the same exit codes, and the refusal among what stood on stderr."""
    done = CliRunner().invoke(app, ["--config", str(config), *arguments], input=stdin, env=environ)
    match done.exception:
        case Usage() | Refusal():
            code = 2 if isinstance(done.exception, Usage) else 1
            return Ended(code, done.stdout, f"{done.stderr}refreshd: {done.exception}\n")
        case None | SystemExit():
            return Ended(done.exit_code, done.stdout, done.stderr)
        case fault:
            raise fault
