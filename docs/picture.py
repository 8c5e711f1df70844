"""Draw the README's picture of a report, from a result that was measured.

python docs/picture.py     # writes docs/images/report-{dark,light}.svg
"""

import io
import re
from pathlib import Path

from rich import terminal_theme
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from perfkit.report import terminal
from perfkit.result import load

HERE = Path(__file__).parent
RESULT = HERE.parent / "tests" / "golden" / "db-fetch.json"
WIDTH = 80
THEMES = {"dark": terminal_theme.SVG_EXPORT_THEME, "light": terminal_theme.DEFAULT_TERMINAL_THEME}

# rich's own frame loads a font from the network; a picture must not call home.
FRAME = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL).replace(
    "font-family: Fira Code, monospace;",
    "font-family: JetBrains Mono, DejaVu Sans Mono, monospace; font-variant-ligatures: none;",
)


def draw() -> dict[str, str]:
    """Return the pictures by theme, as SVG."""
    result = load(RESULT)
    pictures = {}
    for name, theme in THEMES.items():
        console = Console(
            width=WIDTH,
            record=True,
            file=io.StringIO(),
            force_terminal=True,
            color_system="standard",
            legacy_windows=False,
            highlight=False,
        )
        console.print(terminal.render(result, WIDTH))
        pictures[name] = console.export_svg(
            title=f"perfkit probe {result.probe}",
            theme=theme,
            code_format=FRAME,
            unique_id="perfkit",
        )
    return pictures


def main() -> None:
    """Write the pictures."""
    folder = HERE / "images"
    folder.mkdir(exist_ok=True)
    for name, svg in draw().items():
        (folder / f"report-{name}.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
