"""The command line: one thin module a command, and the only place that prints and exits."""

from perfkit.cli.app import main

__all__ = ["main"]
