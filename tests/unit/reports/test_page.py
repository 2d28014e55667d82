"""report.html and the charts: well-formed, self-contained, and nothing foreign becomes markup."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import product
from xml.etree import ElementTree as ET

import pytest

from convergence_cluster.reports.documents import documents
from convergence_cluster.reports.records import StudyReport, Visualization
from convergence_cluster.reports.style import CHART_STYLE
from tests.unit.reports.example_study import empty_report, make_report, reconfigured, without_prices

PAYLOADS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style><script>alert(2)</script>",
    "</title></svg><iframe src=//e.example>",
    "javascript:alert(3)",
    "' onmouseover='alert(4)",
    "\x00\x1b[31m\u202e]]>&lt;script&gt;",
)
VOID = {"meta", "link", "br", "col"}
LOADING = {"src", "href", "srcset", "action", "data", "poster", "xlink:href"}


class Page(HTMLParser):
    """The elements of a page, in order, with what every element must be: closed."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def named(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag in tags]


def page_of(report: StudyReport) -> Page:
    page = Page(documents(report, formats=("html",))["report.html"].decode())
    assert page.open == []
    return page


def hostile(payload: str) -> StudyReport:
    report = reconfigured(make_report(), {"model": payload, payload: payload})
    best = report.recommendation.best
    assert best is not None
    return replace(
        report,
        name=payload,
        recommendation=replace(report.recommendation, tied=(best, *report.recommendation.tied), front=(best,)),
        cases=tuple(replace(case, input={payload: payload}, expected=payload) for case in report.cases),
        calls=tuple(
            replace(call, outcome=replace(call.outcome, answer=payload, error=call.outcome.error and payload))
            for call in report.calls
        ),
        metrics=(replace(report.metrics[0], name=f"q{payload}"), *report.metrics[1:]),
        legacy=payload,
        notes=(payload,),
        provenance={payload: payload},
        price_sources=(payload,),
    )


@pytest.mark.parametrize("payload", PAYLOADS)
def test_foreign_text_is_text(payload: str) -> None:
    quiet, loud = page_of(hostile("q" * len(payload))), page_of(hostile(payload))

    assert [tag for tag, _ in loud.elements] == [tag for tag, _ in quiet.elements]
    assert [sorted(attributes) for _, attributes in loud.elements] == [sorted(a) for _, a in quiet.elements]
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e]", "".join(loud.text))


@pytest.mark.parametrize("report", [make_report(), empty_report(), hostile(PAYLOADS[3])])
def test_the_page_asks_nothing_of_any_other_file(report: StudyReport) -> None:
    page = page_of(report)

    loading = {value for _, attributes in page.elements for key, value in attributes.items() if key in LOADING}
    assert loading <= {"data:,"}
    text = documents(report, formats=("html",))["report.html"].decode()
    assert "url(" not in text
    assert "@import" not in text
    policy = next(a["content"] for a in page.named("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy


def test_every_table_and_chart_has_words_for_those_who_cannot_see_it() -> None:
    page = page_of(make_report())

    assert len(page.named("table")) == len(page.named("caption")) > 4
    assert all("scope" in attributes for attributes in page.named("th"))
    assert len(page.named("svg")) == 6
    assert all(a["role"] == "img" and a["aria-labelledby"] for a in page.named("svg"))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert page.named("html")[0]["lang"] == "en"
    assert [len(page.named("h1")), len(page.named("main"))] == [1, 1]


def test_the_page_says_the_answer_and_how_sure_it_is() -> None:
    report = make_report()
    best = report.recommendation.best
    assert best is not None

    words = " ".join(page_of(report).text)

    assert f"{best.score.mean:.3f}" in words
    assert "96 % sure that it is within 1 % of the best of 40 configurations tried" in words
    assert "100 more calls would raise the score by about 0.002" in words


def test_an_unknown_price_is_called_unknown() -> None:
    words = " ".join(page_of(without_prices(make_report())).text)

    assert "cost unknown (no price known)" in words
    assert "Cost per call unknown no price is known" in words
    assert "no common case" not in words
    assert "Cost against quality" not in words


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_every_colour_of_words_stands_out_from_its_ground() -> None:
    themes = re.findall(r":root\{([^}]*)\}", CHART_STYLE)

    assert len(themes) == 2
    for theme in themes:
        colours = dict(re.findall(r"--(\w+):(#[0-9a-f]{6})\b", theme))
        for word, ground in product(("ink", "soft", "good", "bad", "best", "base", "front"), ("paper", "panel")):
            low, high = sorted((luminance(colours[word]), luminance(colours[ground])))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (word, ground, theme)


@pytest.mark.parametrize("payload", ["plain", *PAYLOADS])
def test_single_charts_are_documents_of_their_own(payload: str) -> None:
    texts = documents(hostile(payload), formats=(), visualizations=list(Visualization))
    drawn = {name: ET.fromstring(text) for name, text in texts.items() if name.endswith(".svg")}

    assert len(drawn) == 6
    for svg in drawn.values():
        assert svg.tag == "{http://www.w3.org/2000/svg}svg"
        kinds = {element.tag.removeprefix("{http://www.w3.org/2000/svg}") for element in svg.iter()}
        assert not kinds & {"script", "image", "use", "foreignObject", "a"}


def test_a_bar_is_as_long_as_its_value_says() -> None:
    texts = documents(make_report(), formats=(), visualizations=[Visualization.PARAMETER_IMPORTANCE])
    svg = ET.fromstring(texts["charts/parameter_importance.svg"])
    bars = [e for e in svg.iter("{http://www.w3.org/2000/svg}rect") if e.get("class") == "bar"]

    words = [next(iter(bar)).text or "" for bar in bars]
    shares = [float(re.findall(r"(\d+) %", w)[0]) for w in words]
    widths = [float(bar.get("width", "nan")) / 420 * 100 for bar in bars]

    assert widths == pytest.approx(shares, abs=0.6)
