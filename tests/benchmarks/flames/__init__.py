"""Where the time goes, as flame graphs: `make flame`."""
