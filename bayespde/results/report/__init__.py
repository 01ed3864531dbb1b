"""RESULTS OF A DISCOVERY -> one self-contained HTML page.

`ReportData` (data) holds a posterior and, where they are known, a `DataSummary` and `ForecastSummary`s. `sections` and
`provenance` turn it into sentences and table rows, `pictures` turns figures into `Picture`s, and `page.render` puts
these into the template `page.html`, with the citation of the package.
"""
