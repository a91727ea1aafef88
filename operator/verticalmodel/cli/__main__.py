"""`vmodel` and `kubectl vmodel`: names, one line each, and where a command's code is."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping

import click

__all__ = ["COMMANDS", "cli", "main"]

COMMANDS: Mapping[str, tuple[str, str]] = {
    "keygen": ("keygen", "Make a key that artifacts are sealed with."),
    "seal": ("seal", "Encrypt a model's files into a sealed artifact."),
    "inspect": ("inspect", "Show what an artifact is, and check it."),
    "unseal": ("unseal", "Verify a sealed artifact and decrypt it."),
    "doctor": ("doctor", "Examine the installation: what is broken, and the way out."),
    "explain": ("explain", "Say what a clause demands, how it is read and how it is measured."),
    "check": ("check", "Say what speaks against models of a file before they are applied."),
    "status": ("status", "Say how a model stands: what is broken first, and who must act."),
    "timeline": ("timeline", "Show where the seconds of the last start went."),
    "measure": ("measure", "Measure a model now, and say how its clauses stand then."),
}
"""Command -> its module here, its line in the help. Modules are imported only when called: `--help` stays quick."""


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 (click's signature)
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"verticalmodel.cli.{COMMANDS[cmd_name][0]}").command
        assert isinstance(command, click.Command)  # noqa: S101 (a defect of this table, not of the input)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 (click's signature)
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="verticalmodel-operator")
def cli() -> None:
    """Work with vertical models from the command line.

    \b
    A model's parameters, sealed at home and opened only in its pod:
      vmodel keygen model.key
      vmodel seal ./model --key model.key -o ./sealed
      vmodel inspect ./sealed --key model.key

    \b
    How a model stands, with the kubeconfig that kubectl uses:
      vmodel check -f model.yaml
      vmodel status breast-screening -n radiology
      vmodel timeline breast-screening -n radiology
      vmodel measure breast-screening -n radiology --clause 13
      vmodel explain 13
      vmodel doctor

    Exit status: 0 done, 1 refused or not readable (the reason is on standard error), 2 wrong usage, 3 something is not
    as it should be (status, measure, doctor).
    """  # noqa: D301 (click wants the control character: it keeps the lines as they are)


def main() -> None:
    """The entry point of both names. Exits."""
    name = "kubectl vmodel" if "kubectl-vmodel" in sys.argv[0] else "vmodel"
    cli(prog_name=name)


if __name__ == "__main__":
    main()
