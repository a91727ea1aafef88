"""Turns observed objects and evidence into verdicts. Knows neither what was planned nor what was rendered."""
