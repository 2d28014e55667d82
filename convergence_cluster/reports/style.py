"""The look of charts and of the page: colours, type and the one script, as text."""

_COLOURS_LIGHT = (
    "--paper:#ffffff;--panel:#f6f7f9;--ink:#1b1f24;--soft:#545d68;--rule:#d5dae0;--grid:#e6e9ed;--best:#0a58ca;"
    "--base:#b54708;--front:#107569;--dot:#7a8594;--good:#0f6b3c;--bad:#b42318;--band:#0a58ca26"
)
_COLOURS_DARK = (
    "--paper:#14171b;--panel:#1d2228;--ink:#e8ebef;--soft:#a9b3bf;--rule:#3a424c;--grid:#2a3037;--best:#7db3ff;"
    "--base:#f5a35b;--front:#4fd1b9;--dot:#8a95a3;--good:#6fd49b;--bad:#ff8f85;--band:#7db3ff33"
)

CHART_STYLE = f"""
:root{{{_COLOURS_LIGHT};color-scheme:light dark}}
@media screen and (prefers-color-scheme:dark){{:root{{{_COLOURS_DARK}}}}}
.chart{{font:12px system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;font-variant-numeric:tabular-nums}}
.chart text{{fill:var(--soft);stroke:none}}
.chart .name{{fill:var(--ink);font-size:12.5px}}
.chart .title{{fill:var(--ink);font-size:15px;font-weight:600}}
.paper{{fill:var(--paper)}}
.grid{{stroke:var(--grid)}}
.axis{{stroke:var(--soft)}}
.chart .dot{{fill:var(--dot);opacity:.5}}
.chart .front{{fill:var(--front);stroke:var(--paper)}}
.chart .best{{fill:var(--best);stroke:var(--paper);stroke-width:1.2}}
.chart .base{{fill:var(--base);stroke:var(--paper);stroke-width:1.2}}
.chart .band{{fill:var(--band);stroke:none}}
.chart .whisker{{fill:none;stroke-width:1.5;opacity:.75}}
.chart .front.whisker{{stroke:var(--front);opacity:.45}}
.chart .best.whisker{{stroke:var(--best)}}
.chart .base.whisker{{stroke:var(--base)}}
.chart .best-line{{fill:none;stroke:var(--best);stroke-width:2}}
.chart .base-line{{fill:none;stroke:var(--base);stroke-width:2;stroke-dasharray:6 4}}
.chart .front-line{{fill:none;stroke:var(--front);stroke-width:1.5;stroke-dasharray:2 3}}
.chart .bar{{fill:var(--best);opacity:.6}}
.chart .good{{fill:var(--good)}}
.chart .bad{{fill:var(--bad)}}
.chart .other{{fill:var(--dot)}}
.chart .groove{{fill:var(--grid)}}
.chart .reach{{stroke:var(--ink);stroke-width:1.5}}
"""

PAGE_STYLE = (
    CHART_STYLE
    + """
*{box-sizing:border-box}
html{background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
body{margin:0 auto;max-width:1360px;padding:20px clamp(12px,3vw,40px) 60px}
header p{max-width:none}
.alarm{border:2px solid var(--bad);border-radius:10px;padding:8px 12px;margin:.8em 0;font-weight:600}
header p:not(.alarm),.soft,figcaption,caption,.note{color:var(--soft)}
h1{font-size:1.5rem;line-height:1.25;margin:.2em 0;overflow-wrap:anywhere}
h2{font-size:1.2rem;margin:2.2em 0 .6em;padding-top:.5em;border-top:1px solid var(--rule)}
h3{font-size:1rem;margin:0 0 .3em;overflow-wrap:anywhere}
p{margin:.4em 0;max-width:78ch}
ul{padding-left:1.2em;margin:.4em 0}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,150px),1fr));gap:12px;margin:16px 0}
.tile,figure{background:var(--panel);border:1px solid var(--rule);border-radius:10px;padding:12px 14px;margin:0}
.tile b{display:block;font-size:1.35rem;line-height:1.3;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.tile span{display:block;font-size:.86rem;color:var(--soft)}
.tile .head{color:var(--ink);font-weight:600}
.up{color:var(--good);font-weight:600}
.down{color:var(--bad);font-weight:600}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,400px),1fr));gap:16px}
figure svg{display:block;width:100%;height:auto;max-width:640px;margin:0 auto}
figcaption,caption,.note{font-size:.86rem}
figcaption{margin-top:.5em}
.scroll{overflow-x:auto;border:1px solid var(--rule);border-radius:10px;margin:.6em 0}
.scroll:focus-visible,button:focus-visible,summary:focus-visible,a:focus-visible{
outline:3px solid var(--best);outline-offset:2px}
table{border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums}
caption{text-align:left;padding:8px 10px}
th,td{padding:6px 10px;text-align:left;vertical-align:top;border-top:1px solid var(--rule)}
td{overflow-wrap:anywhere;max-width:34ch}
thead th{background:var(--panel);white-space:nowrap;border-top:0}
tbody th{font-weight:600;overflow-wrap:break-word;max-width:24ch}
caption span{display:block;position:sticky;left:10px;max-width:calc(100vw - 60px)}
td.long{min-width:26ch;max-width:70ch}
td.fix,td.n,th.n{white-space:nowrap}
td.short,.sortable td{white-space:nowrap;max-width:30ch;overflow:hidden;text-overflow:ellipsis}
td.n,th.n{text-align:right}
tr.best th,tr.best td{background:color-mix(in srgb,var(--best) 12%,transparent)}
tr.base th,tr.base td{background:color-mix(in srgb,var(--base) 12%,transparent)}
.wide{min-width:560px}
th button{all:unset;cursor:pointer;font:inherit;font-weight:600;color:inherit;white-space:nowrap}
th button::after{content:" \\2195";color:var(--soft)}
th[aria-sort=ascending] button::after{content:" \\2191";color:var(--ink)}
th[aria-sort=descending] button::after{content:" \\2193";color:var(--ink)}
details{margin:.5em 0;border:1px solid var(--rule);border-radius:10px;padding:8px 12px}
summary{cursor:pointer;font-weight:600;overflow-wrap:anywhere}
pre{white-space:pre-wrap;overflow-wrap:anywhere;background:var(--panel);border:1px solid var(--rule);border-radius:8px;
padding:8px 10px;margin:.3em 0;font:13px/1.45 ui-monospace,Consolas,"DejaVu Sans Mono",monospace}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,300px),1fr));gap:12px}
.pair>*{min-width:0}
nav{font-size:.9rem;margin:.6em 0}
nav a{color:var(--best);margin-right:1em;white-space:nowrap}
@media print{html{font-size:11pt}body{max-width:none;padding:0}nav{display:none}
.tile,figure,tr,details{break-inside:avoid}
h2,h3{break-after:avoid}
.scroll{overflow:visible;border:0}th button::after{content:""}
table{font-size:8pt}td,th{padding:3px 5px;white-space:normal!important}
.wide{min-width:0}td{overflow-wrap:break-word}td.n{white-space:nowrap!important}
.sortable{font-size:7pt}.sortable td:not(.n),.sortable th{overflow-wrap:anywhere;max-width:14ch}
.charts{grid-template-columns:1fr 1fr}}
"""
)

SCRIPT = """
"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const first = head.dataset.first || "descending";
    const other = first === "descending" ? "ascending" : "descending";
    const order = head.getAttribute("aria-sort") === first ? other : first;
    for (const each of heads) each.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const key = row => row.cells[column].dataset.v ?? row.cells[column].textContent;
    const rows = [...body.rows].map(row => [key(row), row]);
    rows.sort(([a], [b]) => {
      if (a === "" || b === "") return (a === "") - (b === "");
      const x = Number(a), y = Number(b);
      return sign * (Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b, undefined, {numeric: true}) : x - y);
    });
    body.append(...rows.map(([, row]) => row));
  }));
}
addEventListener("beforeprint", () => { for (const d of document.querySelectorAll("details")) d.open = true; });
"""
