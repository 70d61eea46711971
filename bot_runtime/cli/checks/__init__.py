"""What `tradingbot doctor` looks at. Each check stands alone, is bounded in time, and changes nothing."""
