"""Balances that weigh losses: one backward pass, whatever the number of tasks."""
