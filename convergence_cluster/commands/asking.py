"""Questions to a person at a terminal: a default in brackets, again until the answer will do."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from rich.console import Console
from rich.markup import escape

Answer = TypeVar("Answer")


class Terminal:
    """Asks; the end of the input is an interruption."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)

    def say(self, text: str = "") -> None:
        """Show a line."""
        self._console.print(text, markup=False)

    def ask(self, question: str, default: str, read: Callable[[str], Answer]) -> Answer:
        """Return what `read` makes of the answer, of the default where nothing is typed.

        `read` raises ValueError with what was expected.
        """
        hint = f" [dim]\\[{escape(default)}][/dim]" if default else ""
        while True:
            self._console.print(f"[bold cyan]?[/bold cyan] [bold]{escape(question)}[/bold]{hint} ", end="")
            try:
                typed = input().strip()
            except EOFError:
                raise KeyboardInterrupt from None
            try:
                return read(typed or default)
            except ValueError as error:
                self._console.print(f"  [red]{escape(str(error))}[/red]")

    def choose(self, question: str, options: Sequence[tuple[str, str]], default: str) -> str:
        """Return the name of one of the options, chosen by its number or its name."""
        width = max(len(name) for name, _ in options)
        n_left = max(20, self._console.width - width - 8)
        for number, (name, what) in enumerate(options, start=1):
            short = what if len(what) <= n_left else f"{what[: n_left - 1]}…"
            self._console.print(f"  [cyan]{number:>2}[/cyan]  {escape(f'{name:<{width}}')}  [dim]{escape(short)}[/dim]")
        names = [name for name, _ in options]

        def read(text: str) -> str:
            if text in names:
                return text
            if text.isdigit() and 1 <= int(text) <= len(names):
                return names[int(text) - 1]
            raise ValueError(f"{text!r}: expected a number from 1 to {len(names)}, or a name from the list")

        return self.ask(question, default, read)
