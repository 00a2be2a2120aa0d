"""Training: recipes, schedules, the trainer, evaluation."""
