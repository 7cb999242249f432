"""The router: decides for every text which exit answers it, and explains the answer."""
