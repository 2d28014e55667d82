"""What things cost and how fast they may go: prices, budget, retry, rate limits."""
