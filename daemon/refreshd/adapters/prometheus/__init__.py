"""The metrics that a scrape reads, and what each event does to them."""
