"""How near to its limit `objective: {expected_loss: …}` comes on other texts than its own."""
