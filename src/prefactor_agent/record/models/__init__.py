"""What models were asked and answered: node calls, realtime models, metrics."""
