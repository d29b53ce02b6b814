"""The style of a run's page, in ASCII. Rules are bound to `.wm-run`, twice, so that they outweigh a notebook's own."""

from __future__ import annotations

_LIGHT = """
--paper:#fff;--ink:#1a1e24;--soft:#5c6570;--rule:#e3e6ea;--faint:#f5f6f8;--line:#2463b4;--shade:#2463b4;
--good:#1b7a48;--bad:#b4281e;--warn:#96600a;--odd:#c97508;color-scheme:light;
"""
_DARK = """
--paper:#15181d;--ink:#e4e7eb;--soft:#98a2ae;--rule:#2b3038;--faint:#1c2027;--line:#7fb0f5;--shade:#7fb0f5;
--good:#6cc894;--bad:#f08d83;--warn:#dfb15b;--odd:#e9a13b;color-scheme:dark;
"""

# `&` stands for the page, written twice.
_RULES = """
& {
  background:var(--paper); color:var(--ink); box-sizing:border-box; max-width:1200px;
  margin:0 auto; padding:28px 32px 20px; text-align:left; overflow-wrap:anywhere;
  font:14px/1.5 ui-sans-serif,system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue","Noto Sans",sans-serif;
  font-variant-numeric:tabular-nums; -webkit-text-size-adjust:100%;
}
& *, & *::before { box-sizing:border-box; }
& code { font:.92em/1.5 ui-monospace,"SF Mono",Menlo,Consolas,"Noto Sans Mono",monospace; color:inherit;
  background:none; padding:0; border:0; }
& h1, & h2, & p, & dl, & dt, & dd, & ul, & li, & figure, & figcaption, & aside, & footer {
  margin:0; padding:0; color:inherit; font-weight:inherit; font-style:normal; text-align:left;
  float:none; }
& ul { list-style:none; }
& a { color:var(--line); text-decoration:none; white-space:nowrap; }
& a:hover { text-decoration:underline; }
& .wm-where { color:var(--soft); font-size:13px; }
& .wm-slash { padding:0 .4em; opacity:.6; }
& .wm-title { display:flex; flex-wrap:wrap; align-items:baseline; gap:2px 16px; margin:2px 0 18px; }
& h1 { font-size:27px; line-height:1.25; font-weight:600; letter-spacing:-.012em; }
& .wm-state { font-size:13px; font-weight:500; color:var(--state); }
& .wm-state::before { content:""; display:inline-block; width:8px; height:8px; border-radius:50%;
  background:var(--state); margin-right:7px; }
& .wm-link { font-size:13px; margin-left:auto; }
& .wm-state { --state:var(--soft); }
& .wm-running { --state:var(--line); }
& .wm-finished { --state:var(--good); }
& .wm-failed, & .wm-crashed { --state:var(--bad); }
& .wm-killed, & .wm-pending, & .wm-preempting, & .wm-preempted { --state:var(--warn); }
& .wm-facts { display:flex; flex-wrap:wrap; gap:12px 36px; border-top:1px solid var(--rule);
  border-bottom:1px solid var(--rule); padding:13px 0 14px; }
& .wm-facts > div { max-width:100%; }
& .wm-facts dt { font-size:12px; color:var(--soft); line-height:1.4; }
& .wm-tags { display:flex; flex-wrap:wrap; gap:6px; margin-top:14px; }
& .wm-tags li { border:1px solid var(--rule); border-radius:99px; padding:1px 10px; font-size:12.5px; max-width:100%; }
& .wm-tags li.wm-none { border-color:transparent; }
& .wm-notes { white-space:pre-wrap; max-width:72ch; margin-top:14px; text-align:start; }
& .wm-notice { border-left:3px solid var(--edge); background:var(--faint); padding:9px 16px 10px; margin-top:12px;
  font-size:13px; }
& .wm-notice strong { font-weight:600; }
& .wm-notice li { color:var(--soft); }
& .wm-is-pending { --edge:var(--line); }
& .wm-is-missing { --edge:var(--odd); }
& .wm-is-gone { --edge:var(--bad); }
& h2 { font-size:15px; line-height:1.4; font-weight:600; margin:30px 0 12px; }
& .wm-none { color:var(--soft); font-size:13px; }
& > .wm-none { margin-top:20px; }
& .wm-grid-of-charts { display:grid; grid-template-columns:repeat(auto-fill,minmax(min(100%,264px),1fr));
  gap:26px 36px; }
& .wm-chart { min-width:0; break-inside:avoid; grid-row:span 3; display:grid; grid-template-rows:subgrid; row-gap:0; }
& .wm-chart figcaption { display:flex; align-items:last baseline; align-self:end; justify-content:space-between;
  gap:12px; margin-bottom:8px; font-size:13px; line-height:1.4; }
& .wm-key { min-width:0; }
& .wm-last { font-weight:600; white-space:nowrap; }
& .wm-plot { display:grid; grid-template-columns:calc(var(--w)*.66em + 8px) 1fr; grid-template-rows:124px 20px;
  font-size:11px; line-height:14px; color:var(--soft); }
& .wm-y, & .wm-x, & .wm-canvas { position:relative; min-width:0; }
& .wm-x { grid-column:2; }
& .wm-y span { position:absolute; right:8px; transform:translateY(-50%); white-space:nowrap; }
& .wm-x span { position:absolute; top:5px; transform:translateX(-50%); white-space:nowrap; }
& .wm-x .wm-start { transform:none; }
& .wm-x .wm-end { transform:translateX(-100%); }
& .wm-canvas svg { display:block; position:absolute; width:100%; height:100%; max-width:none; overflow:visible; }
& path { fill:none; vector-effect:non-scaling-stroke; stroke-linejoin:round; stroke-linecap:round; }
& .wm-grid { stroke:var(--rule); stroke-width:1px; shape-rendering:crispEdges; stroke-linecap:butt; }
& .wm-line { stroke:var(--line); stroke-width:1.5px; }
& .wm-shade { fill:var(--shade); fill-opacity:.24; stroke:var(--shade); stroke-opacity:.55; stroke-width:.75px; }
& .wm-dot { stroke:var(--line); stroke-width:4.5px; }
& .wm-odd { stroke:var(--odd); stroke-width:5px; stroke-linecap:butt; }
& .wm-empty { font-size:12.5px; color:var(--odd); }
& .wm-range { font-size:11.5px; line-height:1.4; color:var(--soft); margin-top:3px; }
& .wm-tables { display:grid; grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr)); gap:0 48px;
  margin-top:6px; }
& .wm-table { min-width:0; }
& .wm-table dl { border-top:1px solid var(--rule); }
& .wm-table dl > div { display:grid; grid-template-columns:minmax(0,2fr) minmax(0,3fr); gap:16px; padding:4px 0;
  border-bottom:1px solid var(--rule); font-size:13px; }
& .wm-table dt { color:var(--soft); }
& .wm-table dd { white-space:pre-wrap; }
& .wm-null { color:var(--soft); }
& details dl { border-top:0; }
& summary { cursor:pointer; padding:6px 0; font-size:13px; color:var(--line); }
& footer { margin-top:30px; padding-top:10px; border-top:1px solid var(--rule); font-size:12px; line-height:1.5;
  color:var(--soft); }
@media (max-width:700px) { & { padding:20px 18px 14px; } & .wm-facts { gap:10px 26px; } & h1 { font-size:23px; } }
@media print { & { padding:0; max-width:none; } & h2 { break-after:avoid; } }
"""


def _style() -> str:
    """The rules, with the colours of day and night; a notebook's own theme counts before the system's."""
    page = ".wm-run.wm-run"
    day, night = f"{page},.wm-body{{{_LIGHT}}}", f"{page},.wm-body{{{_DARK}}}"
    colours = (
        f"{day}@media (prefers-color-scheme:dark){{{night}}}"
        f'[data-jp-theme-light="true"] {page},.vscode-light {page}{{{_LIGHT}}}'
        f'[data-jp-theme-light="false"] {page},.vscode-dark {page}{{{_DARK}}}'
        f"@media print{{{day}}}.wm-body{{margin:0;background:var(--paper);}}"
    )
    return "".join(line.strip() for line in (colours + _RULES.replace("&", page)).splitlines())


STYLE = _style()
