"""One job as one page: what is advised, why, and what it rests on.

    findings ── make_report ──> Report ── render_page ──> HTML
                (pure: text,           (template, and a drawing
                 tables, Vega-Lite)     of each figure as SVG)

``drawing`` alone imports vl_convert, ``page`` alone jinja2: both are of the extra ``[report]``.
"""
