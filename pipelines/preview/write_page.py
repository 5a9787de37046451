"""A preview as one self-contained HTML page, in the style of the report: no script, no request."""

from pathlib import Path

from components.shared.html_page import page_styles, page_templates
from pipelines.preview.document import PreviewDocument
from pipelines.preview.printable import printable
from pipelines.preview.words import about, facts_of, headline, money, source_in_words, took, total_price

FOLDER = Path(__file__).parent
PAGE, STYLES = "preview.html.jinja", "preview.css"


def write_page(document: PreviewDocument) -> str:
    """The page. The same document gives the same bytes.

    Text of data sets and models is escaped, and shown without control characters.
    """
    environment = page_templates(FOLDER)
    environment.filters |= {
        "printable": printable,
        "facts": facts_of,
        "considered": source_in_words,
        "took": took,
        "about": about,
        "number": lambda value: f"{value:,}",
        "money": money,
    }
    own = (FOLDER / STYLES).read_text(encoding="utf-8")
    return environment.get_template(PAGE).render(
        preview=document, headline=headline(document), total_price=total_price(document), styles=page_styles() + own
    )
