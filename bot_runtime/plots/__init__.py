"""Pictures of a run: price, entries, exits and equity, as one HTML file or as PNG. They decide and compute nothing."""
