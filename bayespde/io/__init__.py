"""FILE <-> FIELD: what a format holds -> a checked field, and back.

`formats.FORMATS` is the table of formats: name, suffixes, first bytes, what each can hold. `read_field(path)` finds the
`Format` by suffix, else by first bytes; its module opens the file as `Contents`: arrays by name, not yet checked.
One of them becomes a field (`xarray.DataArray`, checked by `core.field`), several become a Dataset. `write_field` goes
back through the same table. A new format is one module with `read` (and `write`), and one line in the table.
"""
