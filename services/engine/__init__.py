"""Runs rows through the stages of a model: queues, batches, decisions, deadlines."""
