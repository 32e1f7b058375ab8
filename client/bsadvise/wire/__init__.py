"""The one bridge between the values and what crosses a boundary: rows, pipe and public API."""
