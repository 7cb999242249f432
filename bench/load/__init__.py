"""Load on a running router: when texts are sent, what came back, and what it took."""
