"""Dashboard, alarms, budget."""
