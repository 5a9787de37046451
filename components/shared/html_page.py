"""Self-contained HTML pages: their templates, and the styles that reports share."""

from pathlib import Path

import jinja2

STYLES = Path(__file__).parent / "page" / "page.css"


def page_templates(folder: Path) -> jinja2.Environment:
    """The templates of a folder. What they show is escaped, and a name that is not defined is an error."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def page_styles() -> str:
    """The CSS of a report's page: light and dark, narrow and wide, and print."""
    return STYLES.read_text(encoding="utf-8")
