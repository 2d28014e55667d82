"""Pages as Firecrawl reads them: a scrape answers at once, crawls, batches and extractions are jobs.

Source: Firecrawl's API reference v1 and v2 (2026). What a credit costs depends on the plan, so only the study can say:
`cost: {path: data.metadata.creditsUsed, per_unit: ...}`.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from convergence_cluster.domain.identity import Json
from convergence_cluster.providers.jobs import JobFormat, Polling, Step
from convergence_cluster.providers.request_rule import RequestRule, camel
from convergence_cluster.providers.response_rule import ResponseRule

_JOBS = ("/crawl", "/batch/scrape", "/extract", "/deep-research")
_CANCELLABLE = ("/crawl", "/batch/scrape")
_SCRAPED = "data.markdown || data.json || data.summary || data.html || data.rawHtml || data.links || data"
_SUCCESS = "body.success != `false`"
_FRESH: Mapping[str, Json] = {"maxAge": 0}
"""Otherwise a page that was read in the last days comes from a cache, which says nothing about the settings' speed."""


def firecrawl(url: str, *, job_timeout_s: float) -> JobFormat:
    """Return how to call one of the endpoints; `url` may stop at the version, which means `/scrape`."""
    url = url.rstrip("/")
    if urlsplit(url).path.count("/") <= 1:
        url += "/scrape"
    is_scrape = url.endswith("/scrape") and not url.endswith(_JOBS)

    def merge(fields: Mapping[str, Json]) -> tuple[Mapping[str, Json], Json]:
        own = {camel(name): value for name, value in fields.items()}
        return {}, {**_FRESH, **own} if is_scrape else own

    request = RequestRule(merge=merge)
    if not url.endswith(_JOBS):
        result = _SCRAPED if is_scrape else None
        return JobFormat(
            url=url, request=request, response=ResponseRule(result=result, success_when=_SUCCESS, model=None)
        )
    job = f"{url}/{{{{ submitted.id }}}}"
    return JobFormat(
        url=url,
        request=request,
        response=ResponseRule(result="data", success_when=_SUCCESS, model=None),
        polling=Polling(
            poll=Step(url=job),
            done_when="body.status == 'completed'",
            fail_when="body.success == `false` || contains(['failed', 'cancelled'], body.status || '')",
            cancel=Step(url=job, method="DELETE") if url.endswith(_CANCELLABLE) else None,
            interval_s=1.0,
            timeout_s=job_timeout_s,
        ),
    )
