"""`llmflow doctor`: what is not as it should be, and how to mend it. Names keys, never their values."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from llmflow_web.app.cli import EXIT_FAILED
from llmflow_web.app.cli.options import Out, config_from, ending, out_for, read_args
from llmflow_web.app.cli.options import make_parser as make
from llmflow_web.app.cli.render_doctor import doctor_lines


def make_parser(command: str) -> argparse.ArgumentParser:
    """Make the parser of `doctor`."""
    parser = make(
        command,
        "[options]",
        "Look at ports, data, prices, keys and the environment, and say how to mend\n"
        "what is wrong. Ends with 1 when something is.",
        "llmflow doctor",
        "llmflow doctor --online",
        "llmflow doctor --json | jq '.findings[] | select(.level != \"ok\")'",
    )
    parser.add_argument(
        "--online",
        action="store_true",
        default=False,
        help="Also ask the providers that have a key whether they answer.",
    )
    return parser


def run(command: str, argv: Sequence[str]) -> int:
    """Run `doctor` and return the exit code."""
    options = read_args(make_parser(command), argv)
    config = config_from(options)
    out = out_for(config, options)

    def work() -> int:
        from llmflow_web.app.cli.doctor_checks import Doctor

        doctor = Doctor(config, options, os.environ)
        doctor.look()
        return _tell(doctor.told, out)

    return ending(work)


def _tell(told: dict[str, object], out: Out) -> int:
    if out.is_json:
        out.value(told)
    else:
        out.lines(doctor_lines(told, out.width, out.paint))
    return 0 if told["ok"] else EXIT_FAILED
